"""Pictures of weights: for any network, with any names, and each says in words what it shows."""

import re
from dataclasses import replace

import numpy as np
import pytest
from builders import weight_facts_of

from pipeline.facts import HeatMap
from pipeline.fits import Network
from pipeline.report.drawing import style
from pipeline.report.weight_figures import draw_heat_map, draw_histograms, draw_inputs, draw_weights

LINEAR = Network(inputs=3, hidden=(), activation="relu", init="pytorch", init_scale=0.01)
DEEP = Network(inputs=3, hidden=(4,) * 11, activation="relu", init="pytorch", init_scale=0.01)


@pytest.fixture(autouse=True)
def _our_look():
    with style():
        yield


def test_a_network_has_histograms_heat_maps_and_columns():
    """Four pictures; a linear model's two are wide, for nothing stands beside them."""
    pictures = draw_weights(weight_facts_of())
    assert [picture.title for picture in pictures] == [
        "Weights before and after training, fold 1, seed 0",
        "Weights of layer 1: 3 → 4",
        "Weights of layer 2: 4 → 2",
        "Columns the first layer weighs most",
    ]
    assert [picture.is_wide for picture in pictures] == [True, False, False, False]
    assert [(p.title, p.is_wide) for p in draw_weights(weight_facts_of(LINEAR))[1:]] == [
        ("Columns with the largest weights", True)
    ]


def test_every_picture_can_be_read_aloud():
    """An image with its caption as its name."""
    for picture in draw_weights(weight_facts_of()):
        assert picture.markup.startswith('<svg viewBox="')
        label = re.search(r'role="img" aria-label="([^"]+)"', picture.markup)
        assert label
        assert label[1] == picture.caption


def test_ids_of_two_pictures_never_meet():
    """In one page an id stands once."""
    found = [re.findall(r' id="([^"]+)"', picture.markup) for picture in draw_weights(weight_facts_of())]
    ids = [one for picture in found for one in picture]
    assert len(ids) == len(set(ids))


def test_of_a_deep_network_both_ends_are_drawn():
    """Eight of twelve histograms: four at either end, and how many are left out."""
    picture = draw_histograms(weight_facts_of(DEEP))
    shown = [layer for layer in range(12) if f"layer {layer + 1}:" in picture.markup or layer == 11]
    assert shown == [0, 1, 2, 3, 8, 9, 10, 11]
    assert "output: 4 → 1" in picture.markup
    assert "4 layers in the middle left out" in picture.caption


def test_a_shortcuts_histogram_is_named_so():
    """It lies beside that of its layer's weights."""
    network = Network(3, (4, 2), "relu", "pytorch", 0.01, skips=("", "product"))
    assert "layer 2: 4 → 2, shortcut" in draw_histograms(weight_facts_of(network)).markup


def test_a_heat_map_keeps_its_cells_sharp_and_its_names_text():
    """One embedded image that the browser must not blur; names as text; what a cell is, in words."""
    facts = weight_facts_of()
    picture = draw_heat_map(facts, facts.heat_maps[0])
    assert picture.markup.count("data:image/png;base64,") == 2  # the cells, the scale of shades
    assert "image-rendering" in picture.markup
    for name in ("x", "y", "z"):
        assert re.search(rf">{name}</text>", picture.markup)
    assert "the magnitude of one weight" in picture.caption
    blocks = HeatMap(0, (130, 64), np.ones((64, 64)), tuple(f"c{i}" for i in range(64)))
    assert "a block of up to 3 x 1 weights" in draw_heat_map(facts, blocks).caption


def test_a_large_heat_map_names_a_few_of_its_inputs():
    """Twelve of 64 blocks, the first and the last among them; the page stays small."""
    names = tuple(f"column {i:02}" for i in range(64))
    facts = weight_facts_of()
    cells = np.random.default_rng(0).uniform(size=(64, 64))
    picture = draw_heat_map(facts, HeatMap(0, (640, 1280), cells, names))
    named = re.findall(r">(column \d\d)</text>", picture.markup)
    assert (len(named), named[0], named[-1]) == (12, "column 00", "column 63")
    assert len(picture.markup) < 40_000


def test_a_linear_models_bars_tell_signs_apart():
    """Two colours, and words for them; a network's norms have one, and a mark where columns started."""
    facts = weight_facts_of(LINEAR)
    signed = replace(facts.inputs, mean=np.array([3.0, -2.0, 1.0]))
    picture = draw_inputs(signed, is_wide=True)
    bars = re.findall(r"fill: (#0072b2|#d55e00)", picture.markup)
    assert bars == ["#0072b2", "#d55e00", "#0072b2"]
    assert "orange lowers it" in picture.caption
    norms = draw_inputs(weight_facts_of().inputs, is_wide=False)
    assert "orange" not in norms.caption
    assert "Dashed: where a column started, on average (0.500)" in norms.caption


@pytest.mark.parametrize("name", ["</svg><script>alert(1)</script>", "日本語 \x00\u202e $\\frac{1}$", "x" * 999])
def test_a_columns_name_is_only_ever_text(name):
    """No tag but those of a harmless name, in bars and at the side of a heat map; a long one is cut."""
    hostile, harmless = (
        draw_inputs(facts.inputs, is_wide=False).markup + draw_heat_map(facts, facts.heat_maps[0]).markup
        for facts in (weight_facts_of(names=(own,) * 3) for own in (name, "name"))
    )
    assert set(re.findall(r"</?[a-z]+", hostile)) == set(re.findall(r"</?[a-z]+", harmless))
    assert len(hostile) < len(harmless) + 1500


@pytest.mark.parametrize("value", [0.0, np.nan, 1e300])
def test_any_weights_can_be_drawn(value):
    """All alike, no numbers, beyond all bounds: the pictures stand, without a warning."""
    facts = weight_facts_of()
    alike = np.full(3, value)
    odd = replace(
        facts,
        inputs=replace(facts.inputs, mean=alike, low=alike, high=alike, drawn=value),
        heat_maps=tuple(replace(one, cells=np.full(one.cells.shape, value)) for one in facts.heat_maps),
        histograms=tuple(replace(one, after=np.zeros(9, dtype=int)) for one in facts.histograms),
    )
    assert len(draw_weights(odd)) == 4
    assert len(draw_weights(replace(odd, inputs=replace(odd.inputs, is_signed=True)))) == 4
