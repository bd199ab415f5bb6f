"""FIS itself: moto's records of templates, tags and accounts, with experiments that act.

It stands in the place of moto's own backend for the lab's account and Region. Everything is in
memory and ends with the lab.
"""

import copy
import random
import string
import time
from collections.abc import Callable, Mapping
from typing import Any

from moto.fis import urls
from moto.fis.models import ExperimentTemplate, FISBackend, fis_backends
from moto.utilities.paginator import paginate

from infra.lab.cloud.names import ACCOUNT, REGION
from infra.lab.fis import quotas
from infra.lab.fis.api import catalog, safety_lever
from infra.lab.fis.api.client_tokens import ClientTokens
from infra.lab.fis.api.http_calls import LiveFISResponse
from infra.lab.fis.api.safety_lever import SafetyLever
from infra.lab.fis.errors import InvalidRequest, NotFound, QuotaExceeded
from infra.lab.fis.experiments.experiment import LiveExperiment, Surroundings
from infra.lab.fis.templates.template_rules import check_template

_ID_LENGTH = 15
_COPIED = (
    *("targets", "stop_conditions", "log_configuration"),
    *("experiment_report_configuration", "target_account_configurations"),
)


_PAGE = {"input_token": "next_token", "limit_key": "max_results", "limit_default": 100}
_PAGES: dict[str, Any] = {
    "list_actions": {**_PAGE, "unique_attribute": "id"},
    "list_target_resource_types": {**_PAGE, "unique_attribute": "resourceType"},
}


class ControlPlane(FISBackend):
    """What FIS's API does; `LiveFISResponse` is what it says."""

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(REGION, ACCOUNT)
        self._surroundings = surroundings
        kinds, types = surroundings.kinds, surroundings.resource_types
        self._actions = {each: catalog.action_entry(each, kinds[each]) for each in sorted(kinds)}
        self._resource_types = {
            each: catalog.resource_type_entry(types[each]) for each in sorted(types)
        }
        self._lever = SafetyLever()
        self._template_tokens = ClientTokens()
        self._experiment_tokens = ClientTokens()

    def install(self) -> None:
        """Take the place of moto's own."""
        fis_backends[ACCOUNT][REGION] = self

    def remove(self) -> None:
        """Leave it, with all that was made in it."""
        fis_backends[ACCOUNT].pop(REGION, None)

    @property
    def url_paths(self) -> dict[str, Callable[[Any, str, Any], Any]]:
        """moto's, and those it lacks."""
        paths = [each.format("") for each in urls.url_paths]
        levers = ["/safetyLevers/(?P<id>[^/]+)$", "/safetyLevers/(?P<id>[^/]+)/state$"]
        return dict.fromkeys([*paths, *levers], LiveFISResponse.dispatch)

    def tick(self) -> None:
        """Let experiments go on."""
        for experiment in self._active():
            experiment.tick()
        self._lever.settle(is_anything_on=bool(self._active()))

    # Templates.

    def create_experiment_template(
        self, client_token: str | None, *_: Any, **request: Any
    ) -> dict[str, Any]:
        """As CreateExperimentTemplate. All but the token come by their names."""
        known = self._template_tokens.made_with(client_token, request)
        if known is not None:
            return self.get_experiment_template(known)
        self._check(request)
        if len(self.experiment_templates) >= quotas.TEMPLATES:
            raise QuotaExceeded(f"The quota is {quotas.TEMPLATES} experiment templates.")
        template = self._make_template(client_token, request)
        self.experiment_templates[template.id] = template
        self._template_tokens.remember(client_token, request, template.id)
        self.tag_resource(template.arn, request.get("tags") or {})
        return self.get_experiment_template(template.id)

    def _make_template(
        self, client_token: str | None, request: Mapping[str, Any]
    ) -> ExperimentTemplate:
        options = {"accountTargeting": "single-account", "emptyTargetResolutionMode": "fail"}
        now = time.time()
        return ExperimentTemplate(
            account_id=self.account_id,
            region_name=self.region_name,
            id=_new_id("EXT"),
            client_token=client_token or "",
            description=request["description"],
            stop_conditions=request["stop_conditions"],
            targets=request.get("targets") or {},
            actions=request["actions"],
            role_arn=request["role_arn"],
            log_configuration=request.get("log_configuration"),
            experiment_options=options | (request.get("experiment_options") or {}),
            experiment_report_configuration=request.get("experiment_report_configuration"),
            creation_time=now,
            last_update_time=now,
        )

    def update_experiment_template(self, id: str, *_: Any, **changes: Any) -> dict[str, Any]:  # noqa: A002
        """As UpdateExperimentTemplate: what is not given stays."""
        self.get_experiment_template(id)
        template = self.experiment_templates[id]
        given = {name: value for name, value in changes.items() if value is not None}
        for name in ("targets", "actions", "stop_conditions"):
            given.setdefault(name, getattr(template, name))
        self._check(given)
        return super().update_experiment_template(id, **given)

    def delete_experiment_template(self, id: str) -> dict[str, Any]:  # noqa: A002
        """As DeleteExperimentTemplate."""
        deleted = super().delete_experiment_template(id)
        self._template_tokens.forget(id)
        return deleted

    def _check(self, request: Mapping[str, Any]) -> None:
        check_template(
            targets=request.get("targets") or {},
            actions=request["actions"],
            stop_conditions=request["stop_conditions"],
            kinds=self._surroundings.kinds,
        )

    # Experiments.

    def start_experiment(
        self,
        client_token: str | None,
        experiment_template_id: str,
        experiment_options: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """As StartExperiment: with a token that was used already, the one it started."""
        request = {"of": experiment_template_id, "options": experiment_options, "tags": tags}
        known = self._experiment_tokens.made_with(client_token, request)
        if known is not None:
            return self.get_experiment(known)
        self.get_experiment_template(experiment_template_id)
        template = self.experiment_templates[experiment_template_id]
        if (template.experiment_options or {}).get("accountTargeting") == "multi-account":
            raise InvalidRequest("The lab has one account: it runs no multi-account experiments.")
        if len(self._active()) >= quotas.ACTIVE_EXPERIMENTS:
            raise QuotaExceeded(
                f"The quota is {quotas.ACTIVE_EXPERIMENTS} active experiments; "
                "wait for one to end, or stop it."
            )
        experiment = self._make_experiment(template, client_token, experiment_options or {})
        self.experiments[experiment.id] = experiment
        self._experiment_tokens.remember(client_token, request, experiment.id)
        self.tag_resource(experiment.arn, tags or {})
        answer = self.get_experiment(experiment.id)
        if self._lever.is_pulled:
            experiment.cancel(safety_lever.CANCELLED)
        return answer

    def _make_experiment(
        self, template: ExperimentTemplate, client_token: str | None, options: Mapping[str, Any]
    ) -> LiveExperiment:
        pending = {"state": {"status": "pending", "reason": "Initial state"}}
        now = time.time()
        return LiveExperiment(
            surroundings=self._surroundings,
            account_id=self.account_id,
            region_name=self.region_name,
            id=_new_id("EXP"),
            client_token=client_token or "",
            experiment_template_id=template.id,
            role_arn=template.role_arn,
            # Copies: what becomes of the template does not change the experiment.
            **{name: copy.deepcopy(getattr(template, name)) for name in _COPIED},
            actions={
                name: copy.deepcopy(action) | copy.deepcopy(pending)
                for name, action in template.actions.items()
            },
            experiment_options={
                **(template.experiment_options or {}),
                "actionsMode": options.get("actionsMode", "run-all"),
            },
            creation_time=now,
            start_time=now,
        )

    def _active(self) -> list[LiveExperiment]:
        return [
            each
            for each in self.experiments.values()
            if isinstance(each, LiveExperiment) and not each.is_final
        ]

    # Tags.

    def tag_resource(self, resource_arn: str, tags: dict[str, str]) -> None:
        """As TagResource."""
        have = self.list_tags_for_resource(resource_arn)
        if len(have | tags) > quotas.TAGS:
            raise InvalidRequest(f"A resource has at most {quotas.TAGS} tags.")
        if tags:
            super().tag_resource(resource_arn, tags)

    def untag_resource(self, resource_arn: str, tag_keys: list[str]) -> None:
        """As UntagResource: without keys, all of them."""
        have = self.list_tags_for_resource(resource_arn)
        super().untag_resource(resource_arn, tag_keys or list(have))

    def list_tags_for_resource(self, resource_arn: str) -> dict[str, str]:
        """As ListTagsForResource."""
        arns = {each.arn for each in self.experiment_templates.values()}
        if resource_arn not in arns | {each.arn for each in self.experiments.values()}:
            raise NotFound(f"Resource {resource_arn} not found.")
        return super().list_tags_for_resource(resource_arn)

    # The safety lever.

    def get_safety_lever(self, lever_id: str) -> dict[str, Any]:
        """As GetSafetyLever."""
        return self._lever.describe(lever_id)

    def update_safety_lever_state(
        self, lever_id: str, *, status: str, reason: str
    ) -> dict[str, Any]:
        """As UpdateSafetyLeverState: engaging ends what is on."""
        if self._lever.update(lever_id, status, reason):
            for experiment in self._active():
                is_running = experiment.status not in {"pending", "initiating"}
                experiment.cancel(safety_lever.STOPPED if is_running else safety_lever.CANCELLED)
        return self._lever.describe(lever_id)

    # The catalogue.

    def get_action(self, action_id: str) -> catalog.Entry:
        """As GetAction."""
        return catalog.find(self._actions, action_id, what="Action")

    @paginate(pagination_model=_PAGES)
    def list_actions(self) -> list[catalog.Entry]:
        """As ListActions."""
        return list(self._actions.values())

    def get_target_resource_type(self, resource_type: str) -> catalog.Entry:
        """As GetTargetResourceType."""
        return catalog.find(self._resource_types, resource_type, what="Target resource type")

    @paginate(pagination_model=_PAGES)
    def list_target_resource_types(self) -> list[catalog.Entry]:
        """As ListTargetResourceTypes."""
        return list(self._resource_types.values())


def _new_id(prefix: str) -> str:
    return prefix + "".join(random.choices(string.ascii_letters + string.digits, k=_ID_LENGTH))
