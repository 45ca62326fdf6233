"""The sentences that stand under the tables: what the numbers are, and what they are not."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "alpha",
    "learning_rate",
    "regime",
    "scale_note",
    "selection",
    "settings",
    "table3",
]

_SCALES = {
    "mini": "mini scale: procedural miniature world, not the paper's data",
    "pocket": "pocket scale: real images, EfficientNet-Lite0; not the paper's protocol",
    "paper": "paper scale: the full official data sets",
}
_UNITS = "Metrics in percent, EPE in pixels."
_SPREAD = "Mean ± sample standard deviation (number of seeds)."
_INTERVAL = (
    f"{_SPREAD} Interval: 95 %, paired Student t over the seeds that both arms share (number of pairs); it "
    "is about seeds, not about the choice of test items. Verdict: better or worse if the interval excludes "
    "zero, else not separable, also where equal differences leave no spread to judge by."
)
_TRAIN = "Train: the same metric on the training set, mIoU there at one scale without flip."
_DISTANCE = "Distance to w0: mean Euclidean distance of the shared weights from the starting point."


def scale_note(scale: str) -> str:
    """One phrase that says what a scale's numbers are numbers of; unknown scales promise nothing."""
    return _SCALES.get(scale, f"{scale} scale: not the paper's protocol")


def table3(scale: str, counterexamples: str) -> str:
    """Caption of Table 3; `counterexamples` are the rows of the paper's Table 4 against its own text."""
    slip = (
        'Its sentence "not a single comparison is in favor of fine-tuning with L2" is at odds with its own '
        f"Table 4: {counterexamples}."
    )
    return (
        f"Columns headed {scale} are ours: {scale_note(scale)}; a target's name stands for that scale's "
        f"counterpart of it. {_UNITS} {_INTERVAL} Difference: L2-SP minus L2; for EPE negative is better. "
        "About one interval in twenty excludes zero by chance alone. "
        "The paper prints one number per cell, without seeds or spread."
    ) + (f" {slip}" if counterexamples else "")


_SETTINGS = {
    "table4": (
        "The paper's second line has less mIoU than L2, which its text does not say. pixAcc: share of labelled "
        "pixels that are right. mIoU: mean over classes, pooled over the test part, several scales and flip."
    ),
    "table6": "The paper's fifth setting is printed 1e2 in our copy and read as 1e-2.",
}
_CHOICE = (
    "Chosen: the setting that stands in Table 3. At mini and pocket scale it was chosen on a validation part, as the "
    "table of validation trials shows, and this table is only looked at; at paper scale it is the paper's, which "
    "varied α and β on the test images."
)


def settings(name: str, scale: str, references: Sequence[str]) -> str:
    """Caption of Table 4 or 6; `references` name the L2 runs that differences are taken to."""
    return (
        f"Columns headed {scale} are ours: {scale_note(scale)}. Metrics in percent. "
        f"Differences are to {' and '.join(dict.fromkeys(references))}. {_INTERVAL} "
        f"{_SETTINGS[name]} {_CHOICE}"
    )


def learning_rate() -> str:
    """Caption of the learning-rate table."""
    return (
        f"{_UNITS} A line at an experiment's own learning rate uses its main runs where the study has none. "
        f"{_INTERVAL} {_TRAIN} {_DISTANCE}"
    )


def regime() -> str:
    """Caption of the table that compares fine-tuning with training from scratch."""
    return f"{_UNITS} {_SPREAD} Fine-tuned: at the settings chosen on validation. {_TRAIN}"


def alpha() -> str:
    """Caption of the table of all settings of alpha and beta."""
    return (
        f"{_UNITS} Differences are to the chosen L2 setting of the same experiment. {_INTERVAL} "
        f"These are test values, looked at and not chosen by. {_TRAIN} {_DISTANCE}"
    )


def selection() -> str:
    """Caption of the validation trials."""
    return f"{_SPREAD} {_UNITS} Measured on the validation part, which no other table reports."
