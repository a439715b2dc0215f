"""The page about a run in a browser: search, order, the way from a bar to its row, and many units."""

from __future__ import annotations

from typing import Literal

import pytest

from dag.report.page.run import RunPage, run_page
from tests.browser.conftest import Opened, Opener
from tests.support.runs import made_run


def opened_run(open_page: Opener, scheme: Literal["light", "dark"] = "light") -> Opened:
    result = made_run(60, failing=frozenset({7}))
    before = made_run(60, run="20260828-000000-000000")
    return open_page(
        run_page(
            RunPage(
                result=result,
                began=1_787_000_000.0,
                written=1_787_000_100.0,
                is_alive=False,
                store="packages",
                logs={"p0007": "<script>document.title = 'owned'</script>\n" * 50},
                before=before,
            )
        ),
        scheme,
    )


@pytest.fixture
def opened(open_page: Opener) -> Opened:
    return opened_run(open_page)


def shown(opened: Opened) -> list[str]:
    rows = opened.page.locator("#units tbody tr:visible th")
    return [text.removesuffix(" ★") for text in rows.all_inner_texts()]


def test_search_and_result_choose_rows_and_the_address_remembers_them(opened: Opened) -> None:
    page = opened.page
    page.keyboard.press("/")
    page.keyboard.type("P001")
    page.wait_for_function("document.getElementById('shown').textContent.startsWith('10 of 60')")
    assert shown(opened) == [f"p001{number}" for number in range(10)]
    page.select_option("#state", "blocked")
    assert shown(opened) == ["p0014", "p0015"]
    page.reload()
    assert shown(opened) == ["p0014", "p0015"]
    assert page.title().startswith("dag build, x86_64: ")
    page.fill("#search", "")
    page.select_option("#state", "")
    page.wait_for_function("document.getElementById('shown').textContent.startsWith('60 of 60')")
    page.reload()
    assert len(shown(opened)) == 60
    assert opened.complaints == []


def test_a_button_of_the_table_orders_by_its_column_also_with_the_keyboard(opened: Opened) -> None:
    button = opened.page.get_by_role("button", name="time")
    button.focus()
    opened.page.keyboard.press("Enter")
    opened.page.keyboard.press("Enter")
    assert button.locator("..").get_attribute("aria-sort") == "descending"
    assert shown(opened)[0] in {
        "p0006",
        "p0013",
        "p0020",
        "p0027",
        "p0034",
        "p0041",
        "p0048",
        "p0055",
    }
    opened.page.get_by_role("button", name="package").click()
    assert shown(opened)[:2] == ["p0000", "p0001"]


def test_a_bar_leads_to_its_row(opened: Opened) -> None:
    opened.page.locator("rect[data-unit=p0003]").click()
    assert opened.page.locator("tr.found th").inner_text().startswith("p0003")


def test_what_scrolls_can_be_reached_without_a_mouse(opened: Opened) -> None:
    stuck = opened.page.evaluate(
        """() => [...document.querySelectorAll('*')].filter((one) =>
            /auto|scroll/.test(getComputedStyle(one).overflowY) && one.tabIndex < 0 &&
            one !== document.documentElement).map((one) => one.outerHTML.slice(0, 80))"""
    )
    assert stuck == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_3400_units_are_searched_at_once(
    open_page: Opener, scheme: Literal["light", "dark"]
) -> None:
    result = made_run(3400, jobs=64)
    page = RunPage(result=result, began=0.0, written=0.0, is_alive=False, store="packages")
    opened = open_page(run_page(page), scheme)
    opened.page.fill("#search", "p33")
    opened.page.wait_for_function(
        "document.getElementById('shown').textContent === '100 of 3,400 packages are shown.'"
    )
    back, text = opened.page.evaluate(
        "(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))"
    )
    assert (back == "rgb(255, 255, 255)") is (scheme == "light")
    assert back != text
    assert opened.complaints == []


@pytest.mark.parametrize("width", [400, 1400])
def test_each_column_has_room_for_its_words_and_the_name_stays_in_sight(
    open_page: Opener, width: int
) -> None:
    page = opened_run(open_page).page
    page.set_viewport_size({"width": width, "height": 800})
    heights = page.evaluate(
        "[...document.querySelectorAll('thead th, #unit-p0014')].map((one) => one.offsetHeight)"
    )
    line = page.evaluate("document.querySelector('#unit-p0000').offsetHeight")
    assert max(heights[:-1]) < 1.5 * line, "a heading is on one line"
    assert heights[-1] < 4 * line, "a reason has three lines at most"
    page.evaluate("document.querySelector('#units .wide').scrollLeft = 10_000")
    name = page.locator("#unit-p0003 th").bounding_box()
    frame = page.locator("#units .wide").bounding_box()
    assert name
    assert frame
    assert frame["x"] <= name["x"] <= frame["x"] + 2
