"""Layers in words: what the numbers say, for a reader who has never looked inside a network."""

from dataclasses import replace

import pytest
from builders import weight_facts_of

from pipeline.facts import Size, TensorFacts
from pipeline.fits import Network
from pipeline.report.text import short
from pipeline.report.weight_tables import (
    introduce,
    layer_name,
    say_lost,
    say_moved,
    say_spread,
    tensor_table,
    unit_table,
    weight_tables,
)

NORMED = Network(309, (128, 64, 128), "silu", "pytorch", 0.01, norm="layer", skips=("", "", "same"))


def tensor(kind="weight", *, before=0.0441, after=0.0452, theory=0.0442, moved=0.5, start=0.0):
    """300 numbers of a layer with these stds."""
    return TensorFacts(0, kind, (30, 10), Size(start, before, 0.1), Size(0.0, after, 0.1), theory, moved)


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_a_spread_is_said_beside_the_one_that_was_drawn_and_the_theorys():
    """Three digits of each."""
    said = say_spread(tensor(), "pytorch")
    assert said == "std 0.0452, the initialisation drew 0.0441 (theory 0.0442)"


def test_what_starts_at_a_constant_is_said_to():
    """Biases at 0 and norm scales at 1 are not drawn."""
    said = [say_spread(tensor("x", before=0.0, theory=0.0, start=start), "kaiming_uniform") for start in (0.0, 1.0)]
    assert said == ["std 0.0452, all started at 0", "std 0.0452, all started at 1.00"]


def test_a_data_driven_start_is_not_passed_off_as_the_theorys():
    """Weights are drawn and then fitted; biases are fitted alone; a shortcut stays as it was drawn."""
    said = say_spread(tensor(before=0.2), "data_driven")
    assert said == "std 0.0452, started at 0.200, fitted to the data (drawn at 0.0442)"
    assert say_spread(tensor(before=0.2, theory=0.0), "data_driven").endswith("fitted to the data")
    assert "the initialisation drew" in say_spread(tensor("skip"), "data_driven")


def test_a_single_number_has_no_spread():
    """The bias of an output: its value before and after."""
    one = TensorFacts(1, "bias", (1, 1), Size(-0.5, 0.0, 0.5), Size(0.25, 0.0, 0.25), 0.1, 1.5)
    assert say_spread(one, "pytorch") == "one number: 0.250, started at \u22120.500"


def test_a_layer_that_did_not_learn_is_named():
    """A change of half a percent is hardly one, of two percent is; where nothing can be said, nothing is."""
    assert say_spread(tensor(moved=0.005), "pytorch").endswith(": hardly moved")
    assert "hardly" not in say_spread(tensor(moved=0.02), "pytorch")
    assert "hardly" not in say_spread(tensor(moved=float("nan")), "pytorch")


@pytest.mark.parametrize(
    ("share", "said"), [(0.123, "12 %"), (1.5, "150 %"), (12.0, "12.0 times"), (98672.4, "98,672 times")]
)
def test_a_change_is_a_percentage_or_a_multiple(share, said):
    """Up to ten times in percent."""
    assert say_moved(share) == said


def test_a_change_from_nothing_is_a_dash():
    """There is no share of 0."""
    assert say_moved(float("nan")) == "–"  # noqa: RUF001


def test_layers_are_counted_from_1_and_the_last_is_the_output():
    """With inputs and outputs."""
    names = [layer_name(NORMED, layer) for layer in range(4)]
    assert names == ["layer 1: 309 → 128", "layer 2: 128 → 64", "layer 3: 64 → 128", "output: 128 → 1"]


def test_every_tensor_has_a_line_of_its_own():
    """Weights, biases, norms, shortcuts, in the order of the network, with how many numbers it has."""
    network = replace(NORMED, skips=("", "product", ""), hidden=(128, 64))
    table = texts(tensor_table(weight_facts_of(network)))
    assert [row[1] for row in table[:4]] == ["weights", "biases", "norm scales", "norm shifts"]
    assert [row[1] for row in table if row[0] == "layer 2: 128 → 64"][-1] == "shortcut"
    assert table[0] == [
        "layer 1: 309 → 128",
        "weights",
        "39,552",
        "std 0.250, the initialisation drew 0.500 (theory 0.500)",
        "0.125",
        "2.00",
        "75 %",
    ]


def test_dead_units_are_counted_and_many_come_with_a_remedy():
    """None, a tenth, nine tenths; the remedy is a setting."""
    assert say_lost("dead", 0.0, "relu") == "every unit answers to some row"
    assert say_lost("dead", 0.1, "relu") == "10.0 % are silent on every row and learn no more"
    assert 'model.activation = "leaky_relu"' in say_lost("dead", 0.9, "relu")


@pytest.mark.parametrize(
    ("activation", "lost", "shares"),
    [
        ("relu", "dead", ["0.0 %", "50.0 %"]),
        ("tanh", "saturated", ["25.0 %", "75.0 %"]),
        ("sigmoid", "saturated", ["25.0 %", "75.0 %"]),
    ],
)
def test_units_are_told_by_the_way_in_which_they_can_be_lost(activation, lost, shares):
    """Shares at the start and now, then words."""
    facts = weight_facts_of(Network(3, (4,), activation, "pytorch", 0.01))
    table = unit_table(facts)
    assert f"{lost} at the start" in [cell.text for cell in table.header]
    assert texts(table)[0][:6] == ["layer 1: 3 → 4", "4", "1.00", "2.00", *shares]
    assert "learn" in texts(table)[0][6]


def test_units_that_cannot_be_lost_have_no_such_columns():
    """SiLU is never flat on every row: what arrives at it is all there is to tell."""
    table = unit_table(weight_facts_of(Network(3, (4,), "silu", "pytorch", 0.01)))
    assert [cell.text for cell in table.header] == ["layer", "units", "reach at the start", "now"]
    assert texts(table) == [["layer 1: 3 → 4", "4", "1.00", "2.00"]]


def test_a_linear_model_has_no_table_of_units():
    """Nothing is hidden in it."""
    linear = weight_facts_of(Network(3, (), "relu", "pytorch", 0.01))
    assert [table.title for table in weight_tables(linear)] == ["Layers before and after training"]
    assert len(weight_tables(weight_facts_of())) == 2


def test_the_introduction_says_which_networks_are_shown():
    """All of four; or three of eight, and then so."""
    facts = weight_facts_of()
    assert "means over 4 networks. Pictures: the network of fold 1, seed 0" in introduce(facts)
    assert "means over 4 of 8 networks, evenly spread" in introduce(replace(facts, of=8))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0441, "0.0441"), (0.000512, "0.000512"), (-0.5, "\u22120.500"), (98672.3, "98,672"), (0.0, "0"),
        (3e-9, "3.00e\u221209"), (float("inf"), "–"), (0.99999, "1.000"),  # noqa: RUF001
    ],
)  # fmt: skip
def test_a_number_that_stands_alone_keeps_its_digits(value, said):
    """Three significant ones, however small."""
    assert short(value) == said
