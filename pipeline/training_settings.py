"""Settings of networks and of how they learn."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipeline.sections import (
    DEVICE,
    NO_SPACES,
    REFERENCE,
    Pair,
    Settings,
    Widths,
    as_refit,
    as_tuple,
)


class Model(Settings):
    """The shape of the network."""

    kind: Literal["linear", "mlp"] = Field("mlp", description="linear has no hidden layer")
    depth: int = Field(2, ge=1, le=32, description="hidden layers, when `hidden` is empty")
    width: int = Field(128, ge=1, le=65536, description="units of each hidden layer, when `hidden` is empty")
    hidden: Widths = Field((), description="widths one by one, for example [256, 128]")
    shape: Literal["constant", "pyramid", "bottleneck"] = Field(
        "constant",
        description="how width goes on, when `hidden` is empty; pyramid: half of it after each layer; bottleneck: a "
        "quarter in every second layer",
    )
    norm: Literal["none", "batch", "layer"] = Field(
        "none", description="normalisation between a hidden layer's product and its activation"
    )
    residual: int = Field(
        0,
        ge=0,
        le=8,
        description="after the first hidden layer, every so many are a block to whose output its input is added; "
        "0: none",
    )
    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu", "mish", "tanh", "sigmoid"] = Field(
        "relu", description="after each hidden layer"
    )
    init: Literal[
        "pytorch",
        "xavier_uniform",
        "xavier_uniform_fan_in",
        "xavier_uniform_fan_out",
        "xavier_normal",
        "xavier_normal_fan_in",
        "xavier_normal_fan_out",
        "kaiming_uniform",
        "kaiming_uniform_fan_out",
        "kaiming_normal",
        "kaiming_normal_fan_out",
        "uniform",
        "normal",
        "data_driven",
    ] = Field(
        "pytorch",
        description="how weights start; pytorch is torch.nn.Linear's own; data_driven: unit variance after each layer, "
        "on the job's own training rows",
    )
    init_scale: float = Field(0.01, gt=0, description="range of `uniform`, standard deviation of `normal`")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of hidden units dropped at each training step")
    custom: str = Field(
        "",
        pattern=REFERENCE,
        description="a function of yours that builds a torch module, as file.py:function or module:function; but for "
        "`options` the other keys of [model] then say nothing",
    )
    options: dict[str, bool | int | float | str] = Field(default_factory=dict, description="keywords handed to it")


ScheduleKind = Literal[
    "constant",
    "step",
    "exponential",
    "inverse_time",
    "natural_exponential",
    "piecewise",
    "linear",
    "cosine",
    "cosine_restarts",
    "cyclic",
    "one_cycle",
    "coslog4",
]
Milestones = Annotated[tuple[Pair, ...], BeforeValidator(as_tuple)]


class Link(Settings):
    """A schedule that takes over from the one before it."""

    at: float = Field(gt=0, lt=1, description="share of the training at which it begins")
    kind: ScheduleKind = Field(description="as train.schedule")
    gamma: float = Field(0.5, gt=0, le=1, description="as train.gamma")
    every: float = Field(0.25, gt=0, le=1, description="as train.every")
    cycles: int = Field(1, ge=1, description="as train.cycles")
    floor: float = Field(0.0, ge=0, lt=1, description="as train.lr_floor")


class Train(Settings):
    """How the network learns."""

    optimizer: Literal["sgd", "adagrad", "rmsprop", "adam", "adamw", "adam_then_sgd"] = Field(
        "adamw", description="weight decay is decoupled in adamw, added to the gradient (L2) in the others"
    )
    lr: float = Field(4e-3, gt=0, description="learning rate, the schedule's peak")
    lr_for_batch: int = Field(0, ge=0, description="batch size that lr is for: lr grows with batch_size; 0: as it is")
    weight_decay: float = Field(0.3, ge=0, description="strength")
    decay_biases: bool = Field(True, description="false: weight decay and l1 leave biases and norms alone")
    l1: float = Field(0.0, ge=0, description="weight of the sum of |w| in the loss")
    clip_norm: float = Field(0.0, ge=0, description="largest Euclidean norm of a network's gradient; 0: any")
    clip_value: float = Field(0.0, ge=0, description="largest magnitude of an entry of the gradient; 0: any")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of Adam's first moment")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of the second moment, RMSprop's alpha too")
    epsilon: float = Field(1e-8, gt=0, description="added to the root of the second moment")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd, rmsprop, and adam_then_sgd after the switch")
    nesterov: bool = Field(False, description="Nesterov's momentum in sgd")
    switch_at: float = Field(0.7, gt=0, lt=1, description="share of the training that adam_then_sgd spends in adam")
    switch_lr: float = Field(10.0, gt=0, description="its learning rate after the switch, as a multiple")
    loss: Literal["mse", "mae", "huber", "log_cosh", "quantile", "relative", "poisson", "tweedie"] = Field(
        "mse",
        description="on the transformed target; poisson and tweedie want target.transform none and standardize false",
    )
    loss_parameter: float = Field(
        0.0, ge=0, description="0: its default (huber: delta, 1; quantile: q, .5; relative: .01; tweedie: power, 1.5)"
    )
    custom_loss: str = Field(
        "",
        pattern=REFERENCE,
        description="a function of yours in place of `loss`, as file.py:function or module:function",
    )
    schedule: ScheduleKind = Field("one_cycle", description="learning rate over steps")
    warmup: float = Field(0.0, ge=0, lt=1, description="share of the steps in which lr rises to the schedule's start")
    gamma: float = Field(0.5, gt=0, le=1, description="decay of step, exponential, inverse_time, natural_exponential …")
    every: float = Field(0.25, gt=0, le=1, description="… in this share of the steps")
    milestones: Milestones = Field((), description="of piecewise: [share of the steps, share of lr from there on], …")
    cycles: int = Field(1, ge=1, description="of cosine_restarts, cyclic")
    lr_floor: float = Field(0.0, ge=0, lt=1, description="the schedule never falls below this share of lr")
    chain: Annotated[tuple[Link, ...], BeforeValidator(as_tuple)] = Field((), description="further schedules, in turn")
    plateau_factor: float = Field(
        0.0, ge=0, lt=1, description="lr falls to this share of it when the score gets no better; 0: never …"
    )
    plateau_patience: int = Field(10, ge=0, description="… for more than so many epochs")
    epochs: int = Field(150, ge=1, le=100_000, description="passes over a fold's training rows")
    batch_size: int = Field(64, ge=1, le=1 << 24, description="rows a step")
    patience: int = Field(0, ge=0, description="stop after this many epochs without a better score; 0: never early")
    restore_best: bool = Field(True, description="keep the weights of the best validation epoch")
    seeds: int = Field(
        1, ge=1, le=10_000, description="networks per fold, averaged; one batched program trains them all"
    )
    seed: int = Field(0, ge=0, le=2**62, description="the first seed")
    warm_start: str = Field(
        "", description="file of `export`: networks begin with its weights, fold by fold; empty: fresh"
    )
    shrink: bool = Field(
        False,
        description="where target.difference takes a forecast: keep as much of what networks add to it as surely pays "
        "on rows that only other folds score; trials of a search are scored without",
    )
    refit: Annotated[Literal["auto", "none", "alone", "beside"], BeforeValidator(as_refit)] = Field(
        "auto",
        description="networks trained on all rows predict the test: alone (or true), or beside the folds' with half "
        "the say; none (or false): the folds' do; auto: beside them where a fold of time series learns from less than "
        "45 % of the rows, else none",
    )
    tuned: bool = Field(False, description="take the winner of `make sweep`")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:1", pattern=DEVICE)
    threads: int = Field(0, ge=0, le=512, description="CPU threads; 0: the cores this process may use")
    precision: Literal["auto", "fp32", "fp64", "bf16", "fp16", "tf32"] = Field(
        "fp32",
        description="of weights and products; bf16, and on a GPU fp16 and tf32: of products alone; auto: bf16 where "
        "the device has it natively",
    )
    checkpoint_seconds: float = Field(
        20.0, ge=0, description="a training in progress is saved this often, to continue at exactly that step"
    )
    pack_size: int = Field(0, ge=0, description="networks trained side by side; 0: chosen for the device")
    device_memory: float = Field(
        0.0,
        ge=0,
        description="GB of it that rows may take; more stream, to a GPU from the host's memory, to a CPU from a file; "
        "0: half of what is free",
    )
    engine: Literal["local", "processes", "dask"] = Field(
        "local",
        description="where packs are trained: local: this process, with several GPUs one process each; processes of "
        "this machine; dask: a cluster",
    )
    workers: int = Field(
        0,
        ge=0,
        le=4096,
        description="processes, and at least so many packs; 0: by cores and GPUs (dask: packs as planned)",
    )
    scheduler: str = Field("", description="of dask, such as tcp://10.0.0.5:8786", pattern=NO_SPACES)

    @model_validator(mode="after")
    def _known_scheduler(self) -> Self:
        if self.engine == "dask" and not self.scheduler:
            raise ValueError('engine = "dask" needs scheduler, its address; add --scheduler tcp://HOST:8786')
        if self.scheduler and self.engine != "dask":
            raise ValueError(
                f'scheduler = "{self.scheduler}" is for engine = "dask", found "{self.engine}"; add --engine dask, or '
                f'--scheduler "" to train without it'
            )
        return self
