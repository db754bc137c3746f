"""The control for the depth, as a notebook shows it: its HTML, and in a real browser."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
import torch
from browser import PICTURES
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial.depth.depths import DEPTHS

DATA = TensorDataset(torch.randn(10, 8), torch.arange(10) % 3)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 5), nn.ReLU(), nn.Dropout(0.1), nn.Linear(5, 3))


def unrolled(network: nn.Module, method: str = "fit", depth: str = "loop") -> Any:
    model = tl.Model(network)
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    return model.unroll(method, DATA, depth=depth)


def sources_in(html: str) -> dict[str, str]:
    """The source at each depth, as a reader sees it."""
    sections = re.findall(r'<section data-depth="(\w+)">.*?<code>(.*?)</code>', html, re.DOTALL)
    return {depth: unescape(re.sub(r"<[^>]*>", "", code)) for depth, code in sections}


# ---- what is in it


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_program_shows_itself_at_each_depth(depth: str) -> None:
    program = unrolled(mlp(), depth=depth)
    html = program._repr_html_()
    found = sources_in(html)
    assert [*found] == [*DEPTHS]
    assert found[depth] == program.source
    assert len(set(found.values())) == len(DEPTHS)
    assert re.findall(r'value="(\w+)" checked', html) == [depth]
    assert "://" not in html


def test_nothing_differs_from_time_to_time() -> None:
    program = unrolled(mlp())
    assert program._repr_html_() == program._repr_html_()


def test_the_lessons_network_needs_little_room() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))
    model, data = tl.Model(network), tl.datasets.MNIST("train")
    adam = torch.optim.Adam(model.parameters())
    model.prepare(adam, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    html = model.unroll("fit", data, data, epochs=5)._repr_html_()
    assert [*sources_in(html)] == [*DEPTHS]
    assert len(html.encode()) < 150_000


def test_where_nothing_is_learned_the_optimizer_has_no_lines_of_its_own() -> None:
    html = unrolled(mlp(), "evaluate")._repr_html_()
    assert 'value="optimizer" disabled' in html
    assert [*sources_in(html)] == ["loop", "gradients", "numpy"]
    assert "<b>optimizer</b>: the same as loop, since nothing is learned here" in html


def test_what_cannot_be_written_out_says_why() -> None:
    class Branches(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x if x.sum() > 0 else -x)

    html = unrolled(Branches(8, 3))._repr_html_()
    assert [*sources_in(html)] == ["loop", "optimizer"]
    for depth in ("gradients", "numpy"):
        assert f'value="{depth}" disabled' in html
    [reason] = re.findall("<b>gradients, numpy</b>: (.*?)</p>", html)
    assert "Take depth=" in unescape(reason)


def test_what_takes_long_is_written_out_on_demand() -> None:
    deep = nn.Sequential(*(nn.Linear(8, 8) for _ in range(20)))
    assert [*sources_in(unrolled(deep)._repr_html_())] == ["loop", "optimizer"]
    asked = unrolled(deep, depth="gradients")
    assert sources_in(asked._repr_html_())["gradients"] == asked.source


def test_lines_of_several_lines_keep_their_number() -> None:
    """As a list of gradients has, of which each line counts."""
    html = unrolled(nn.Sequential(*(nn.Linear(8, 8) for _ in range(6))))._repr_html_()
    sections = re.findall(r'<section data-depth="(\w+)">(.*?)</section>', html, re.DOTALL)
    for depth, section in sections:
        assert section.count('class="l"') == len(sources_in(html)[depth].splitlines())


# ---- in a browser


@pytest.fixture(scope="module")
def html() -> str:
    return str(unrolled(mlp())._repr_html_())


@pytest.fixture
def page(chromium, html, tmp_path) -> Iterator[Any]:
    """Two programs in one page, without a network."""
    path = tmp_path / "page.html"
    head = "<!doctype html><html lang=en><meta charset=utf-8><title>t</title>"
    path.write_text(f"{head}<main><h1>t</h1>{html}{html}</main>", encoding="utf-8")
    page = chromium.new_page(viewport={"width": 900, "height": 700}, offline=True)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(path.as_uri())
    yield page
    page.close()
    assert wrong == []


def visible(control: Any) -> list[str]:
    sections = control.locator("section").all()
    return [each.get_attribute("data-depth") for each in sections if each.is_visible()]


def lit(control: Any, depth: str, tone: str = "lit") -> list[str]:
    lines = control.locator(f'[data-depth="{depth}"] .{tone}').all()
    return [line.text_content().strip().partition("  #")[0].rstrip() for line in lines]


def test_the_depth_is_chosen_by_the_keyboard_and_for_one_program_alone(page) -> None:
    first, second = page.locator(".tutorial-depths").all()
    assert visible(first) == visible(second) == ["loop"]
    first.get_by_role("radio", name="loop").focus()
    for depth in DEPTHS[1:]:
        page.keyboard.press("ArrowRight")
        assert visible(first) == [depth]
        assert first.get_by_role("radio", name=depth).is_checked()
    assert visible(second) == ["loop"]
    page.keyboard.press("Enter")  # the form is not sent anywhere
    assert visible(first) == [DEPTHS[-1]]


def test_without_a_script_the_depth_can_still_be_chosen(chromium, page) -> None:
    context = chromium.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(page.url)
    control = plain.locator(".tutorial-depths").first
    control.get_by_role("radio", name="gradients").check()
    assert visible(control) == ["gradients"]
    context.close()


def test_what_belongs_together_lights_up_at_each_depth(page) -> None:
    control, other = page.locator(".tutorial-depths").all()
    control.get_by_role("radio", name="gradients").check()
    control.locator('[data-depth="gradients"]').get_by_text("d_W_3 = ").hover()
    backward = ["# backward, 3: Linear(5, 3)", "d_x_2 = d_y_hat @ W_3"]
    backward += ["d_W_3 = d_y_hat.T @ x_2", "d_b_3 = d_y_hat.sum(0)"]
    assert lit(control, "gradients")[:4] == backward
    forward = ["# 3: Linear(5, 3)", "y_hat = torch.addmm(b_3, x_2, W_3.T)"]
    assert lit(control, "gradients", "kin") == forward
    assert lit(control, "loop") == lit(control, "optimizer") == ["loss.backward()"]
    assert lit(control, "numpy")[:4] == backward
    assert lit(control, "numpy", "kin") == [forward[0], "y_hat = b_3 + x_2 @ W_3.T"]
    assert lit(other, "loop") == []
    page.mouse.move(1, 1)
    assert lit(control, "gradients") == []


def test_a_chosen_line_stays_lit_when_the_depth_changes(page) -> None:
    control = page.locator(".tutorial-depths").first
    page.set_viewport_size({"width": 900, "height": 260})  # so that not all of it can be seen
    control.get_by_text("optimizer.zero_grad()").click()
    page.mouse.move(1, 1)
    assert lit(control, "loop") == ["optimizer.zero_grad()"]
    control.get_by_role("radio", name="gradients").check()
    forgets = ["for weight in network.parameters():", "weight.grad = None"]
    assert lit(control, "gradients") == forgets
    line = control.locator('[data-depth="gradients"] .lit').first
    box = control.locator('[data-depth="gradients"] pre').bounding_box()
    assert box["y"] <= line.bounding_box()["y"] < box["y"] + box["height"]
    told = control.get_by_role("status").inner_text()
    assert told.startswith(
        "Lines that belong together: 1 in loop, 2 in optimizer, 2 in gradients, 2 in numpy"
    )


def test_lines_are_chosen_by_the_keyboard(page) -> None:
    control = page.locator(".tutorial-depths").first
    control.get_by_role("radio", name="loop").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")  # after "beside the loop"
    lines = control.get_by_role("listbox", name="the lines of loop")
    assert lines.evaluate("list => list === document.activeElement")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    options = lines.get_by_role("option")
    active = options.nth(options.count() - 2)
    assert lines.get_attribute("aria-activedescendant") == active.get_attribute("id")
    assert active.get_attribute("aria-selected") == "true"
    assert active.get_attribute("class") == "l lit now"
    page.keyboard.press("Escape")
    assert lit(control, "loop") == []
    page.keyboard.press("Home")
    assert options.first.get_attribute("aria-selected") == "true"


@pytest.mark.parametrize("width", [360, 700, 1400])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_has_room_in_each_page(page, width: int, theme: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    control = page.locator(".tutorial-depths").first
    control.get_by_role("radio", name="gradients").check()
    control.get_by_role("checkbox", name="beside the loop").check()
    assert visible(control) == ["loop", "gradients"]
    loop, gradients = (
        control.locator(f'[data-depth="{depth}"]').bounding_box() for depth in ("loop", "gradients")
    )
    assert (loop["y"] == gradients["y"]) == (width == 1400)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    control.locator('[data-depth="gradients"]').get_by_text("d_W_3 = ").click()
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"depths_{theme}_{width}.png")
