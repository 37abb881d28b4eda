import inspect

import pytest

from odelib.names import check_keys, choose


def test_a_valid_name_is_returned():
    assert choose("rk4", ("euler", "rk4"), "step rule") == "rk4"


def test_an_unknown_name_gets_one_sentence_with_the_nearest():
    with pytest.raises(
        ValueError, match=r"^unknown step rule 'eular': the nearest valid name is 'euler' \(valid: "
    ) as e:
        choose("eular", ("rk4", "euler"), "step rule")
    assert "\n" not in str(e.value)


def test_where_no_name_is_near_none_is_suggested():
    for name in ("", "x", " "):
        with pytest.raises(ValueError, match=rf"^unknown step rule '{name}': none is near \(valid: rk4, euler\)"):
            choose(name, ("rk4", "euler"), "step rule")
    with pytest.raises(TypeError, match="the step rule is 3: give a name, one of rk4, euler"):
        inspect.unwrap(choose)(3, ("rk4", "euler"), "step rule")


def test_no_options_at_all():
    with pytest.raises(ValueError, match="there is no valid name"):
        choose("x", (), "thing")


def test_unknown_keys_are_refused():
    check_keys({"a": 1}, ("a", "b"), "key")
    with pytest.raises(ValueError, match="unknown key 'steps_size'"):
        check_keys({"steps_size": 1}, ("step_size", "steps"), "key")
