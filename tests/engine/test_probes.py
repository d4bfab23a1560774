"""A user's loss or network that cannot be trained in a pack is refused, with what was expected and what was found."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline import usercode
from pipeline.engine.losses import LOSSES, loss_of
from pipeline.engine.probes import check_loss, tensors_of
from pipeline.errors import ConfigError
from pipeline.fits import Network
from pipeline.usercode import load

IDEAS = Path(__file__).resolve().parents[1] / "ideas.py"
TARGETS = (-1.7, -0.4, 0.0, 0.3, 0.9, 2.1)


def reference(name):
    return f"{IDEAS}:{name}"


def try_loss(name, targets=TARGETS):
    check_loss(reference(name), load(reference(name)), targets)


def try_network(name, inputs=3, **options):
    network = Network(inputs, (), "", "", 1.0, custom=reference(name), custom_options=tuple(options.items()))
    return tensors_of(network, load(reference(name)))


def said(attempt, name, **options):
    """What is said of a function, without its reference."""
    with pytest.raises(ConfigError) as raised:
        attempt(name, **options)
    setting, _, rest = str(raised.value).partition(f" = {reference(name)!r}")
    assert setting == ("train.custom_loss" if attempt is try_loss else "model.custom")
    return rest.removeprefix(": ").replace(str(IDEAS), "ideas.py").replace("tests/ideas.py", "ideas.py")


# --- losses


@pytest.mark.parametrize(
    "name",
    ["squared", "careful", "masked", "by_mask", "pinball", "clamped", "cancelling", "gaussian", "heavy_tailed"],
)
def test_a_loss_of_each_entry_by_itself_is_let_through(name):
    """Also one that treats both sides differently, and on targets that are all alike, or close to each other."""
    try_loss(name)
    try_loss(name, targets=tuple(3 + 1e-4 * target for target in TARGETS))
    try_loss(name, targets=(5.0,) * 4)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_loss_is_tried_at_the_size_of_the_targets(scale):
    """In dollars as well as standardised: coupled entries are found, sound ones pass."""
    targets = tuple(scale * target for target in TARGETS)
    try_loss("squared", targets)
    assert "changes the loss" in said(try_loss, "scaled_by_batch", targets=targets)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mean_of_all", r"expected a loss for each row, shape \[3, 6\], found \[\]; do not take the mean.*"),
        ("scaled_by_batch", r"the output of network 0, row 0 changes the loss of another row \(0, 1\); .*"),
        ("scaled_by_pack", r"the target of network 2, row 5 changes the loss of another network \(0, 0\); .*"),
        ("by_size", r"a row alone has another loss \(.*\) than among others \(.*\); .*"),
        (
            "swinging",
            r"ideas.py:\d+: an `if`, `assert`, `float\(\)` or the like on values decides for all .*torch.where",
        ),
        ("looped", r"ideas.py:\d+: an `if`, .*"),
        ("weighed_by_number", r"ideas.py:\d+: an `if`, .*"),
        ("scaled_far_out", r"a row alone has another loss \(.*\) than among others \(.*\); .*"),
        ("rooted", r"its gradient is nan at output 0 and target 0; expected a finite number"),
        ("logarithmic", r"its loss is inf at output 0 and target -1.7; expected a finite number"),
        ("through_numpy", r"its result has no gradient; compute it with torch alone, from the outputs"),
        ("detached", r"its gradient is 0 everywhere, so nothing would be learned"),
        ("doubled", r"expected torch.float32 as it was handed, found torch.float64"),
        ("no_tensor", r"expected a torch tensor \[M, B\], found list"),
        ("broken", r" failed: ideas.py:\d+: RuntimeError: mat1 and mat2 shapes cannot be multiplied.*"),
    ],
)
def test_a_loss_that_a_pack_cannot_use_is_refused(name, message):
    """What was found, and what was expected instead."""
    assert re.fullmatch(message, said(try_loss, name))


def test_a_loss_is_tried_on_the_very_targets_it_will_see():
    """A logarithm of the target is fine where all are above 0, and an error where one is not."""
    try_loss("to_log_target", targets=(1.0, 2.0, 3.0))
    assert "its loss is nan at output 0 and target -3" in said(try_loss, "to_log_target", targets=(1.0, 2.0, -3.0))


@pytest.mark.parametrize("name", LOSSES)
def test_our_own_losses_would_pass(name, monkeypatch):
    """The probe asks no more than the engine's own losses give, at the targets that they need."""
    own = LOSSES[name]
    monkeypatch.setattr("pipeline.engine.probes.loss_of", lambda _: own)
    try_targets = (1.0, 2.0, 4.0) if own.needs else TARGETS
    check_loss.__wrapped__(f"a:{name}", own, try_targets)


def test_a_users_loss_is_computed_as_it_is():
    """Value and gradient of their square are those of ours."""
    outputs = torch.linspace(-3, 3, 12, dtype=torch.float64).view(2, 6).requires_grad_()
    targets = torch.ones(2, 6, dtype=torch.float64)
    mine, ours = loss_of(reference("squared")), LOSSES["mse"]
    assert torch.equal(mine(outputs, targets), ours(outputs, targets))
    slopes = [torch.autograd.grad(loss(outputs, targets).sum(), outputs)[0] for loss in (mine, ours)]
    assert torch.equal(*slopes)
    assert mine.link == "identity"
    assert loss_of("huber") is LOSSES["huber"]


# --- networks


@pytest.mark.parametrize("name", ["mlp", "plain", "odd", "quiet_dropout"])
@pytest.mark.parametrize("inputs", [1, 3, 40])
def test_a_module_of_each_row_by_itself_is_let_through(name, inputs):
    """Dropout of 0 draws nothing, and constants and shared layers are fine."""
    assert try_network(name, inputs)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("failing", r": failing\(3, 1\) failed: ideas.py:\d+: ValueError: too few inputs"),
        ("number", r"expected a torch.nn.Module, found int"),
        ("without_parameters", r"the module has no parameters, so there is nothing to train"),
        ("lazy", r"parameter 'weight' has no shape yet \(a lazy layer\); give it its size"),
        ("frozen", r"parameter 'bias' is not trained; make it a buffer"),
        ("infinite", r"parameter 'bias' begins with numbers that are not finite"),
        ("own_draws", r"parameter 'bias' is another thing each time it is built; draw with torch's own generator only"),
        ("drawn_buffer", r"buffer 'noise' is another buffer each time it is built; make it a parameter"),
        ("dropping",
         r"its forward pass draws random numbers \(1: Dropout\(p=0.25, inplace=False\)\); leave that out, .*"),
        ("noisy", r"its forward pass draws random numbers; leave that out, .*"),
        ("batch_norm",
         r"its forward pass changes 1.running_mean, .* \(1: BatchNorm1d.*\); expected a module that remembers .*"),
        ("mixing", r"a row's answer depends on the other rows of its batch; expected each row by itself"),
        ("squeezed", r"expected outputs of shape \[5, 1\], found \[5\]"),
        ("several", r"expected a tensor \[5, 1\], found tuple"),
        ("unused", r"its outputs do not depend on spare.weight, spare.bias; leave out what is not used"),
        ("branching", r"two of it do not run as one in torch.float32 \(torch.func.vmap\): ideas.py:\d+: Runtime.*"),
        ("single", r"two of it do not run as one in torch.float64 \(torch.func.vmap\): ideas.py:\d+: Runtime.*"),
    ],
)  # fmt: skip
def test_a_module_that_a_pack_cannot_train_is_refused(name, message):
    """What was found, where it stands, and what will do instead."""
    found = said(try_network, name)
    assert re.fullmatch(message.removeprefix(": "), found.removeprefix(": ")), found


def test_attention_runs_without_a_word_of_torchs():
    """As a process of its own: what vmap says of its speed is nothing that a user could mend."""
    code = (
        "from pipeline.engine.probes import tensors_of\nfrom pipeline.fits import Network\n"
        "from pipeline.usercode import load\n"
        f"name = {reference('attending')!r}\n"
        "print(len(tensors_of(Network(3, (), '', '', 1.0, custom=name), load(name))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("4\n", "")


def test_normalising_over_the_batch_is_refused_also_where_nothing_is_remembered():
    """A batch of one row cannot even be computed."""
    assert "forward pass on [1, 3] failed" in said(try_network, "batch_norm_of_the_moment")


def test_options_that_a_function_does_not_take_are_said():
    """With the call as it was made."""
    message = said(try_network, "mlp", widht=3)
    assert "mlp(3, 1, widht=3) failed" in message
    assert "unexpected keyword argument 'widht'" in message


def test_a_function_is_tried_once_and_again_after_an_edit():
    """Many jobs ask for the same network."""
    calls = load(reference("plain")).__globals__["CALLS"]
    network = Network(7, (), "", "", 1.0, custom=reference("plain"))
    tensors_of(network, load(reference("plain")))
    before = calls["built"]
    assert tensors_of(replace(network), load(reference("plain")))
    assert calls["built"] == before
    usercode.forget()
    tensors_of(network, load(reference("plain")))
    calls = load(reference("plain")).__globals__["CALLS"]
    assert calls["built"] > 0
