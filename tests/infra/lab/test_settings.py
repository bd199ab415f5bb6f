"""The lab's settings."""

import pytest

from infra.lab.errors import BadSetting
from infra.lab.settings import PROFILES, settings_from


def test_the_default_has_the_articles_health_check() -> None:
    settings = settings_from({})
    assert (
        settings.health_check_interval_s,
        settings.health_check_timeout_s,
        settings.unhealthy_threshold,
        settings.healthy_threshold,
    ) == (10, 5, 3, 2)


def test_by_default_ec2s_state_is_known_before_health_checks_fail() -> None:
    settings = settings_from({})
    soonest_s = (settings.unhealthy_threshold - 1) * settings.health_check_interval_s
    assert settings.stopping_s < settings.ec2_state_delay_s < soonest_s


def test_a_variable_overrides_the_profile() -> None:
    settings = settings_from({"LAB_PROFILE": "fast", "LAB_STOPPING_S": "3.5", "LAB_MAX_SIZE": "6"})
    assert settings.stopping_s == 3.5
    assert settings.max_size == 6
    assert settings.tick_s == PROFILES["fast"].tick_s


def test_the_servers_may_serve_another_application() -> None:
    assert settings_from({}).shop_app == "shop.wsgi:app"
    settings = settings_from({"LAB_SHOP_APP": "my_company.web_shop:application"})
    assert settings.shop_app == "my_company.web_shop:application"


def test_a_misspelt_setting_is_refused_and_another_programs_is_let_be() -> None:
    with pytest.raises(BadSetting, match=r"LAB_STOPING_S: .*did you mean LAB_STOPPING_S"):
        settings_from({"LAB_STOPING_S": "3"})
    settings_from({"LAB_ORATORY": "3", "LABEL": "x"})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LAB_PROFILE", "slow"),
        ("LAB_MAX_SIZE", "2.5"),
        ("LAB_STOPPING_S", "soon"),
        ("LAB_STOPPING_S", "-1"),
        ("LAB_STOPPING_S", "nan"),
        ("LAB_LOAD_BALANCER_PORT", "70000"),
        ("LAB_DESIRED_CAPACITY", "5"),
        ("LAB_SHOP_APP", "shop.wsgi"),
        ("LAB_SHOP_APP", "--preload"),
    ],
)
def test_a_bad_value_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"{variable}={value}"):
        settings_from({variable: value})
