"""The page about a graph in a browser: a package and what is around it, and ways between two."""

from __future__ import annotations

from typing import Literal

from dag.core.graph.sketch import Line, Sketch
from dag.report.page.graph import graph_page
from tests.browser.conftest import Opened, Opener
from tests.core.graph.test_graph import package

NODES = "[...document.querySelector('#picture')._cyreg.cy.nodes()].map((one) => one.data('label')).sort()"
EDGES = "[...document.querySelector('#picture')._cyreg.cy.edges()].map((one) => one.id()).sort()"


def small(open_page: Opener, scheme: Literal["light", "dark"] = "light") -> Opened:
    """app → lib → core, app → core, lib → ring1 ⇄ ring2 ⇄ ring3, lib → ring2; tool needs core at run time."""
    names = ("app", "core", "lib", "ring1", "ring2", "ring3", "tool")
    words = (
        "app lib, app core, lib core, lib ring1, lib ring2, "
        "ring1 ring2, ring2 ring1, ring2 ring3, ring3 ring2"
    )
    pairs = (pair.split(" ") for pair in words.split(", "))
    lines = [*(Line(start, goal) for start, goal in pairs), Line("tool", "core", at_run_time=True)]
    sketch = Sketch(packages=tuple(map(package, names)), externals=(), lines=tuple(lines))
    states = {"lib": "failed", "app": "blocked", "core": "waiting", "ring1": "lacking"}
    return open_page(graph_page(sketch, states, ["app"]), scheme)


def test_depth_reduction_and_cycles(open_page: Opener) -> None:
    opened = small(open_page)
    page = opened.page
    assert page.evaluate(NODES) == ["app", "core", "lib"]
    assert page.evaluate(EDGES) == ["n0 n2", "n2 n1"]
    page.uncheck("#reduce")
    assert page.evaluate(EDGES) == ["n0 n1", "n0 n2", "n2 n1"]
    page.select_option("#depth", "4")
    assert page.evaluate(NODES) == ["3 of 3 in a cycle: ring1 …", "app", "core", "lib"]
    page.uncheck("#collapse")
    assert page.evaluate(NODES) == ["app", "core", "lib", "ring1", "ring2", "ring3"]
    page.check("#reduce")
    # Both edges into the cycle stay, as each is the other's only reason to go.
    assert {"n2 n3", "n2 n4"} <= set(page.evaluate(EDGES))
    assert opened.complaints == []


def test_the_picture_has_the_colours_of_the_legend(open_page: Opener) -> None:
    page = small(open_page).page
    page.uncheck("#collapse")
    page.select_option("#depth", "4")
    drawn = page.evaluate(
        """Object.fromEntries([...document.querySelector('#picture')._cyreg.cy.nodes('[fill]')].map(
            (one) => [one.data('state'), [one.style('background-color'), one.style('color')]]))"""
    )
    legend = page.locator("#legend .s").evaluate_all(
        """(all) => Object.fromEntries(all.map((one) => [one.textContent, getComputedStyle(one)]).map(
            ([state, {backgroundColor, color}]) => [state, [backgroundColor, color]]))"""
    )
    assert {
        state: [one.replace(" ", "") for one in colours] for state, colours in legend.items()
    } == {state: [one.replace(" ", "") for one in colours] for state, colours in drawn.items()}
    assert len({back for back, _ in legend.values()}) == 4


def test_the_way_from_one_to_another_and_that_there_is_none(open_page: Opener) -> None:
    page = small(open_page).page
    page.fill("#goal", "ring3")
    page.locator("#goal").press("Enter")
    assert (
        page.locator("#said").inner_text().startswith("A shortest way: app → lib → ring2 → ring3.")
    )
    assert page.evaluate(NODES) == ["app", "lib", "ring2", "ring3"]
    page.fill("#goal", "tool")
    page.locator("#goal").press("Enter")
    assert page.locator("#said").inner_text().startswith("app does not need tool.")


def test_all_that_a_mouse_can_do_the_keyboard_can_and_the_address_remembers_it(
    open_page: Opener,
) -> None:
    page = small(open_page).page
    page.keyboard.press("/")
    page.keyboard.type("core")
    page.select_option("#direction", "needed by")
    page.check("#runtime")
    assert page.locator("#about h2").inner_text().startswith("core 1-r0")
    assert page.evaluate(NODES) == ["app", "core", "lib", "tool"]
    page.locator("#about").get_by_role("button", name="tool").focus()
    page.keyboard.press("Enter")
    assert page.locator("#about h2").inner_text().startswith("tool")
    page.reload()
    assert page.locator("#about h2").inner_text().startswith("tool")
    assert page.locator("#direction").input_value() == "needed by"


def test_of_3400_packages_as_many_are_drawn_as_one_can_look_at(open_page: Opener) -> None:
    names = [f"p{number:04}" for number in range(3400)]
    lines = [
        Line(names[one], names[other])
        for one in range(1, 3400)
        for other in {one // 2, one // 3, 0}
    ]
    sketch = Sketch(packages=tuple(map(package, names)), externals=(), lines=tuple(lines))
    opened = open_page(graph_page(sketch, {}, ["p0000"]), "dark")
    opened.page.select_option("#direction", "needed by")
    assert (
        "More than 120 packages are around it, and 120 are shown"
        in opened.page.locator("#said").inner_text()
    )
    opened.page.fill("#package", "p3399")
    opened.page.select_option("#direction", "needs")
    opened.page.select_option("#depth", "3")
    assert opened.page.evaluate(NODES)[-1] == "p3399"
    assert opened.complaints == []
