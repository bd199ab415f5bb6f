"""A program: why each of these command lines (JSON) cannot become a run; empty where it can."""

import json
import sys

from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from locustfiles._arguments import add_arguments
from locustfiles._check import check_options
from locustfiles._errors import BadArgument

__all__: list[str] = []

_COMMON = ("-H", "http://127.0.0.1:1", "--web-port", "0", "--master-bind-port", "0")


def _refusal(arguments: list[str]) -> str:
    parser = get_empty_argument_parser(default_config_files=())
    setup_parser_arguments(parser)  # type: ignore[no-untyped-call]
    add_arguments(parser)
    try:
        check_options(parser.parse_args([*_COMMON, *arguments]))
    except BadArgument as error:
        return str(error)
    return ""


if __name__ == "__main__":
    print(json.dumps([_refusal(each) for each in json.loads(sys.argv[1])]))
