"""Failed networks made by hand, shared by the tests of causes and of what is said of them."""

from dataclasses import replace

from builders import SHORT_TRAINING, design_of, generated_dataset

from pipeline.engine.diagnosis import Diagnosis, Failure, Fault, LargeInput
from pipeline.engine.sizes import LayerState
from pipeline.fits import Job
from pipeline.stages.assignments import Candidate
from pipeline.stages.cases import Case
from pipeline.training_settings import Model

DESIGN = design_of(generated_dataset())  # columns: area, age, colour_blue, …
AREA, AGE, COLOUR = (DESIGN.columns.index(name) for name in ("area", "age", "colour_blue"))


def states(*hidden, growth=1.0):
    """Layers whose units say so much; the last one are the outputs."""
    return tuple(LayerState(layer, size, 1.0, 1.0, growth) for layer, size in enumerate(hidden))


def case(first="loss", layer=2, *, model=None, train=None, job=None, design=DESIGN, step=4, epoch=1, **diagnosis):
    """Ordinary in every way, with two hidden layers and a loss that is not finite; with the given changes."""
    plain = Diagnosis(
        fault=Fault(first, layer, f"{layer}.weight" if first in ("weights", "gradient") else ""),
        inputs=(LargeInput(AREA, 2.5), LargeInput(AGE, -1.5), LargeInput(COLOUR, 1.0)),
        target_rms=1.0,
        largest_target=2.5,
        layers=states(1.0, 1.0, 1e8),
        at_start=False,
        start=Fault(""),
    )
    candidate = Candidate(
        Model(depth=2, width=8).model_copy(update=model or {}),
        SHORT_TRAINING.model_copy(update={"lr": 0.004} | (train or {})),
    )
    failure = Failure(epoch, step, replace(plain, **diagnosis))
    return Case(job or Job(0, 0, 7), failure, candidate, design)
