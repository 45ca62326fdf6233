"""The sentences that stand under the tables: what the numbers are, and what they are not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from l2sp_suite.report.text import setting_number

if TYPE_CHECKING:
    from l2sp_suite.theory.linear import Problem

__all__ = [
    "alpha",
    "figure",
    "figure_alt",
    "flow",
    "learning_rate",
    "marked",
    "nearest",
    "ours",
    "own_pictures",
    "provenance",
    "regime",
    "sample_note",
    "scale_note",
    "selection",
    "settings",
    "similarity",
    "sources",
    "sweeps",
    "table1",
    "table2",
    "table3",
    "table7",
]

_SCALES = {
    "mini": "mini scale: procedural miniature world, not the paper's data",
    "pocket": "pocket scale: real images, EfficientNet-Lite0; not the paper's protocol",
    "paper": "paper scale: the full official data sets",
}
_UNITS = "Metrics in percent, EPE in pixels."
_SPREAD = "Mean ± sample standard deviation (number of seeds)."
_CHANCE = "About one interval in twenty excludes zero by chance alone."
_INTERVAL = (
    f"{_SPREAD} Interval: 95 %, paired Student t over the seeds that both arms share (number of pairs); it "
    "is about seeds, not about the choice of test items. Verdict: better or worse if the interval excludes "
    "zero, else not separable, also where equal differences leave no spread to judge by."
)
_TRAIN = "Train: the same metric on the training set, mIoU there at one scale without flip."
_DISTANCE = "Distance to w0: mean Euclidean distance of the shared weights from the starting point."


def ours(scale: str) -> str:
    """What our columns of a scale are headed by; "paper" heads what the paper printed."""
    return "ours" if scale == "paper" else scale


def scale_note(scale: str) -> str:
    """One phrase that says what a scale's numbers are numbers of; unknown scales promise nothing."""
    return _SCALES.get(scale, f"{scale} scale: not the paper's protocol")


def own_pictures(scale: str) -> bool:
    """Whether the pictures that runs of a scale show are the project's own, drawn ones."""
    return scale in ("mini", "smoke")


_SAMPLES = {
    "EPE": "truth, L2, L2-SP: colour is the direction of motion, saturation its length, up to the longest of the truth",
    "IoU": "truth, L2, L2-SP: orange is the object",
}


def sample_note(metric: str) -> str:
    """What the colours of an experiment's samples mean, by its metric; empty where a legend says it."""
    return _SAMPLES.get(metric, "")


_OWN_RECIPE = "SegFlow"
"""The approach whose second phase was never released."""


def marked(approach: str) -> str:
    """The name of an approach, with the mark that Table 3's caption explains where the recipe is partly ours."""
    return f"{approach} †" if approach == _OWN_RECIPE else approach


def table3(scale: str, counterexamples: str) -> str:
    """Caption of Table 3; `counterexamples` are the rows of the paper's Table 4 against its own text."""
    slip = (
        'Its sentence "not a single comparison is in favor of fine-tuning with L2" is at odds with its own '
        f"Table 4: {counterexamples}."
    )
    return (
        f"Columns headed {ours(scale)} are ours: {scale_note(scale)}; a target's name stands for that scale's "
        f"counterpart of it. {_UNITS} {_INTERVAL} Difference: L2-SP minus L2; for EPE negative is better. "
        f"{_CHANCE} "
        "The paper prints one number per cell, without seeds or spread. "
        "†: SegFlow's flow phase was never released; its recipe here is our own (docs/deviations.md)."
    ) + (f" {slip}" if counterexamples else "")


class _Settings(NamedTuple):
    """What the caption of a table of settings says of its metrics, of the paper's table, and of the chosen setting."""

    metrics: str
    remarks: str
    chosen: str


_PERCENT = "Metrics in percent."
_CHOICE = (
    "Chosen: the setting that stands in Table 3. At mini and pocket scale it was chosen on a validation part, as the "
    "table of validation trials shows, and this table is only looked at; at paper scale it is the paper's, which "
    "varied α and β on the test images."
)
_SETTINGS = {
    "table4": _Settings(
        _PERCENT,
        "The paper's second line has less mIoU than L2, which its text does not say. pixAcc: share of labelled "
        "pixels that are right. mIoU: mean over classes, pooled over the test part, several scales and flip.",
        _CHOICE,
    ),
    "table5": _Settings(
        "EPE: mean end-point error in pixels, less is better: a negative difference is an improvement on the set's L2.",
        "The paper varies β at α = 0.1: on all four sets and at every β L2-SP has less EPE than L2, least at β = 0.1 "
        "on Monkaa and at β = 0.01 on Driving; its Table 3 takes β = 0.1 for both Final sets. It prints neither α nor "
        "β of L2: ours stand in the note. Under our losses, means over pixels, α = 0.1 is a real pull; under the "
        "released loss, a sum over pixels with a learning rate of 1e-9, it would be none. The flow phase was never "
        "released: its recipe here is our own (docs/deviations.md).",
        "Chosen: the setting that stands in Table 3 for both Final sets and is the same for the Clean ones. Trials on "
        "a validation part, where there were any, are in the table of validation trials. At paper scale L2-SP's is the "
        "paper's, which varied β on the images that it reports, and L2's is the release's weight decay.",
    ),
    "table6": _Settings(_PERCENT, "The paper's fifth setting is printed 1e2 in our copy and read as 1e-2.", _CHOICE),
}


def settings(name: str, scale: str, references: Sequence[str], seeds: Sequence[int]) -> str:
    """Caption of Table 4, 5 or 6.

    `references` name the L2 runs that differences are taken to, `seeds` the numbers of runs of the settings that ran.
    """
    about, single = _SETTINGS[name], seeds.count(1)
    few = f" {single} of the {len(seeds)} settings that ran have one seed: they are called neither better nor worse."
    return (
        f"Columns headed {ours(scale)} are ours: {scale_note(scale)}. {about.metrics} "
        f"Differences are to {' and '.join(dict.fromkeys(references))}. {_INTERVAL}{few if single else ''} "
        f"{about.remarks} {about.chosen}"
    )


def learning_rate() -> str:
    """Caption of the learning-rate table."""
    return (
        f"{_UNITS} A line at an experiment's own learning rate uses its main runs where the study has none. "
        f"{_INTERVAL} {_TRAIN} {_DISTANCE}"
    )


def flow() -> str:
    """Caption of the table of what fine-tuning adds to the pre-trained flow branch."""
    return (
        "End-point errors (EPE) in pixels on the test pairs, less is better. Zero flow: of no motion anywhere, which "
        "says how much the pictures of a set move. Pre-trained: of the flow branch as fine-tuning finds it. "
        "Fine-tuned: at the chosen settings; branch alone: what the flow branch predicts by itself after that, "
        f"without the head that reads both branches. {_SPREAD} Pre-trained against zero flow: the error of zero flow "
        "over the pre-trained branch's; below 1 the branch is worse than no motion."
    )


def _similar(gamma: float) -> str:
    return (
        f"Similarity: exp(−{setting_number(gamma)} EMD) of the Earth Mover's Distance between mean features of "
        "classes, weighted by their images in the training part, as DSTL defines it"
    )


def sources(gamma: float) -> str:
    """Caption of the study of sources."""
    return (
        f"{_UNITS} {_similar(gamma)}; of all classes of the source together. Sources: the whole source set; selected, "
        "the classes nearest to the targets; random and least, as many classes at random and the least similar ones. "
        "Each is pre-trained anew for every seed, all equally long, but random was drawn once; fine-tuning is shorter "
        "than in Table 3. Rank correlation: Spearman's, among the sources of each target, mean over targets, with its "
        f"95 % interval within [−1, 1] (number of seeds). {_INTERVAL} {_CHANCE}"
    )


def similarity(network: str, gamma: float) -> str:
    """Caption of the table of similarities by a network's features."""
    return (
        f"{_similar(gamma)}. Features: {network}. Families are kinds of source classes; lists are what was chosen of "
        "them. The paper behind DSTL used features of a network that is not public: its numbers are of another unit."
    )


def nearest(network: str, gamma: float) -> str:
    """Caption of the table of nearest classes by a network's features."""
    return f"{_similar(gamma)}, here of one class alone. Features: {network}."


def regime() -> str:
    """Caption of the table that compares fine-tuning with training from scratch."""
    return f"{_UNITS} {_SPREAD} Fine-tuned: at the settings chosen on validation. {_TRAIN}"


def table1(scale: str) -> str:
    """Caption of the table of source data sets."""
    return f"{_SIZES} Columns headed {ours(scale)}: the sets and weights that stand in for them."


def table2(scale: str) -> str:
    """Caption of the table of target data sets."""
    return (
        f"{_SIZES} Columns headed {ours(scale)}: what the runs at {scale} scale were trained and evaluated on, as they "
        "counted it on disk; of videos in pairs of neighbouring frames."
    )


_SIZES = (
    "Classes, train, evaluation: sizes of the official releases (the numbers of the paper's own Tables 1 and 2 are "
    "lost in our copy; Monkaa and Driving have no official division, so their numbers are scenes of ours)."
)


def table7(
    problem: Problem, alpha: float, error2: float, limits: Sequence[tuple[float, float]], draws: int, worst: float
) -> str:
    """Caption of Table 7. `limits`: squared errors of w0 and the strength below which L2-SP beats least squares.

    `worst`: largest relative deviation of the simulation.
    """
    n, p = problem.design.shape
    bounds = "; ".join(
        f"‖ε‖² = {size:g}: {'at every α' if math.isinf(limit) else f'for α < {limit:.3g}'}" for size, limit in limits
    )
    truth2 = float(problem.truth @ problem.truth)
    return (
        "y = X w* + noise of variance σ² with X'X = I, z = X'y, w0 = w* + ε; penalties α/2 ‖w‖² and α/2 ‖w − w0‖². "
        "Closed form, expectation and variance are the paper's; squared bias and mean square error (MSE) follow from "
        f"them and are ours. Numbers: n = {n}, p = {p}, σ = {problem.sigma:g}, ‖w*‖² = {truth2:g}, α = {alpha:g}, "
        f"‖ε‖² = {error2:g}; variance per coordinate; simulated with {draws:,} draws, whose MSE deviates from the "
        f"closed forms by {100 * worst:.2f} % at most over nine settings. L2-SP beats L2 where ‖ε‖ < ‖w*‖, whatever α, "
        f"and least squares where ‖ε‖² ≤ pσ² or α < 2pσ² / (‖ε‖² − pσ²): {bounds}. The paper prints ‖ε‖ < pσ², without "
        "the square."
    )


def provenance() -> str:
    """Caption of the table of what made the numbers."""
    return (
        "Seconds a run: median, of training and evaluation together, as many runs at a time as the machine has cores; "
        "hours in all: their sum, a core-hour where a run has one thread. Commits: of the repository; * its code was "
        "changed. A finished run is not made anew for a later commit as long as its configuration is the same."
    )


_FIGURES = {
    "table3": "Mean paired differences with their 95 % intervals; right of the line L2-SP is better. Hollow: one seed.",
    "settings": (
        "Every setting of L2-SP that was run: mean difference to the chosen L2 (broken line) over common seeds; up is "
        "better. Bars: 95 % interval, where several seeds make one."
    ),
    "training": (
        "Loss of the logged batches, and Euclidean distance of the shared weights from w0 and from zero, of both arms "
        "at their chosen settings; thick lines: mean over seeds."
    ),
    "layers": (
        "What the pull does where: distance of each shared weight from its start at the end of training, relative to "
        "the length of that start; mean over seeds. Experiments whose runs did not log it are left out."
    ),
    "learning_rate": "Lines join means over seeds, bars are standard deviations, small marks single seeds.",
    "sources": (
        "Left and middle: test accuracy after fine-tuning with L2 and with L2-SP from four sources (marks) over their "
        "similarity to the target; lines join the sources of a target, mean over seeds. Right: what L2-SP gains over "
        "L2, in points; bars: standard deviation over seeds. Rank correlations are among the sources of a target, mean "
        "over targets, with their 95 % interval (number of seeds)."
    ),
    "similarity": "Similarity of each family of the source, and of each list, to each target; darker: nearer.",
    "classes": "An image of each target (left) and of the five (or fewer) source classes nearest to it, nearest first.",
    "figure1": (
        "The paper's Figure 1, not drawn but computed: gradient descent on a quadratic risk (contours, star: its "
        "minimum) plus a penalty whose strength is the multiplier of the disc that the regulariser admits; cross: "
        "start, grey cross: pre-trained weights, dot: end. L2 ends at the same point from scratch (a) and from the "
        "pre-trained weights (b), here at a higher risk than they had; L2-SP (c) keeps what they know. Discs of radius "
        "1.5 and 0.55. As the paper says, this exact scenario is unlikely for deep networks, whose risk is not convex."
    ),
    "theory": (
        "Mean square error of L2-SP relative to least squares; below 1 it is better. Lines: closed form, marks: "
        "simulation, dotted: the strength up to which theory says that it is better (the nearest start: always)."
    ),
}
_ALTS = {
    "figure1": "Three panels: L2 from scratch and L2 from the pre-trained weights end at the same point of the disc "
    "around the origin; L2-SP ends between the pre-trained weights and the minimum",
    "theory": "Three curves over the strength of the pull: with a near start always below one, with farther starts "
    "below one up to a threshold; simulated points lie on the curves",
}


def figure(name: str) -> str:
    """Caption of a figure."""
    return _FIGURES[name]


def figure_alt(name: str) -> str:
    """What a figure of the theory shows, in words."""
    return _ALTS[name]


def sweeps() -> str:
    """Caption of the table of how strong the pull may be."""
    return (
        f"{_UNITS} At least as good as L2: mean difference to the chosen L2 over common seeds not on the worse side, "
        "whatever its spread and number of seeds; clearly worse: those whose interval lies on that side. Mean "
        "difference: of the settings with that relation of α and β (their number); for EPE "
        "negative is better. The paper's rule: a safe choice has α larger than β."
    )


def alpha() -> str:
    """Caption of the table of all settings of alpha and beta."""
    return (
        f"{_UNITS} Differences are to the chosen L2 setting of the same experiment. {_INTERVAL} "
        f"These are test values, looked at and not chosen by. {_TRAIN} {_DISTANCE}"
    )


def selection() -> str:
    """Caption of the validation trials."""
    return f"{_SPREAD} {_UNITS} Measured on the validation part, which no other table reports."
