"""`python -m infra.launch headless|web|fis-stop`; the Makefile's variables around it.

Locust itself makes the run directory and judges the run at its end. What is left to us is
what Locust cannot do: raise the lab, pass signals on, and finish the run of a Locust that died.
"""

import os
import signal
import sys
import traceback
from collections.abc import Sequence

from infra.aws.errors import AwsError
from infra.lab.errors import BadSetting, LabError
from infra.launch.checks import check_make_variables
from infra.launch.commands import BAD_ARGUMENT, OUR_FAULT, say
from infra.launch.left_faults import stop_left_faults
from infra.launch.locust_run import ENDING
from infra.launch.request import Launch
from infra.launch.run import run
from infra.proxies import go_past_proxies


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m infra.launch headless|web|fis-stop`; the Makefile's variables around it."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words not in (["headless"], ["web"], ["fis-stop"]):
        print("usage: python -m infra.launch headless|web|fis-stop", file=sys.stderr)
        return BAD_ARGUMENT
    # Ctrl-C and the like while the lab comes up: take down what there is, and go.
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    go_past_proxies(os.environ)
    try:
        if words == ["fis-stop"]:
            return stop_left_faults(os.environ)
        check_make_variables(os.environ)
        return run(Launch.from_environment(os.environ, is_web=words == ["web"]), os.environ)
    except (LabError, AwsError) as error:
        say(str(error))
        return BAD_ARGUMENT if isinstance(error, (BadSetting, AwsError)) else OUR_FAULT
    except KeyboardInterrupt:
        say("interrupted before the run began; nothing is left running")
        return 128 + signal.SIGINT
    except Exception:  # noqa: BLE001  (Python's own exit code for it, 1, is that of a broken run)
        traceback.print_exc()
        return OUR_FAULT


if __name__ == "__main__":
    sys.exit(main())
