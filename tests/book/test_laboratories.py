"""What the page adds to laboratories with computed frames: they play, and an address leads to each position."""

import pytest

from tests.book.test_explorables import PHONE

AT_START = "0.3"


@pytest.fixture
def stability(opened):
    def visit(asked=""):
        page = opened(f"book/02-solvers.html{asked}", **PHONE)
        return page, page.locator(".ode-lab[data-lab=stability]")

    return visit


def position(lab):
    return lab.locator("input[type=range]").get_attribute("aria-valuetext")


def words(lab):
    return lab.locator(".ode-lab-text").inner_text()


def test_it_plays_silently_to_its_end_and_tells_what_is_seen_there(stability):
    page, lab = stability("#lab=stability&h=1.3")
    lab.get_by_role("button", name="Play").tap()
    assert lab.locator(".ode-lab-text").get_attribute("aria-live") == "off"
    lab.get_by_role("button", name="Play").wait_for()
    assert position(lab) == "1.5"
    assert lab.locator(".ode-lab-text").get_attribute("aria-live") == "polite"
    assert "h = 1.5" in words(lab)
    lab.get_by_role("button", name="Play").tap()  # from the beginning
    lab.get_by_role("button", name="Pause").tap()
    assert float(position(lab)) < 0.5
    assert page.faults == []


def test_an_address_holds_a_position_and_reset_clears_it(stability):
    page, lab = stability()
    assert page.url.endswith(".html")
    lab.locator("input[type=range]").press("End")
    lab.get_by_role("radio", name="RK4").check()
    page.wait_for_url("**/02-solvers.html#lab=stability&h=1.5&method=RK4")
    says = words(lab)
    other, same = stability("#" + page.url.split("#")[1])
    assert words(same) == says
    assert same.get_by_role("radio", name="RK4").is_checked()
    assert -50 < same.bounding_box()["y"] < 500
    assert other.faults == []
    lab.get_by_role("button", name="Reset").tap()
    assert page.url.endswith(".html")
    assert position(lab) == AT_START
    assert lab.get_by_role("radio", name="Euler").is_checked()


@pytest.mark.parametrize("asked", ["#lab=stability&h=99&method=__proto__", "#lab=other&h=1.5", "#lab-stability"])
def test_an_address_that_asks_for_nothing_there_leaves_the_beginning(stability, asked):
    page, lab = stability(asked)
    lab.get_by_role("button", name="Play").wait_for()
    assert position(lab) == AT_START
    assert page.faults == []
