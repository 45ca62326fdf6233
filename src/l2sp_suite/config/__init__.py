"""Configuration: schema with ranges, composition, and `RunSpec`, a run resolved once."""

from l2sp_suite.config.class_lists import list_digest, listed_sizes, read_classes
from l2sp_suite.config.composition import compose, hydra_errors, override, register, typed
from l2sp_suite.config.fields import Check, at_least, check, each, key, one_of, pair, span, triple
from l2sp_suite.config.keys import known_keys, leaves, task_schemas
from l2sp_suite.config.messages import explain, unknown_key
from l2sp_suite.config.options import parse_options, read_overrides
from l2sp_suite.config.places import CONFIGS, PRINTED, ROOT, scale_names
from l2sp_suite.config.reference import configuration_page
from l2sp_suite.config.schema import (
    Arm,
    DataConfig,
    DryRunConfig,
    EvaluateConfig,
    OptimConfig,
    PathsConfig,
    RowConfig,
    RuntimeConfig,
    ScaleConfig,
    ScheduleConfig,
    TaskConfig,
    TrainConfig,
    WeightsConfig,
)
from l2sp_suite.config.spec import RunSpec, fingerprint, identity, resolve, spec_of
from l2sp_suite.config.synthetic import recipe_of

__all__ = [
    "CONFIGS",
    "PRINTED",
    "ROOT",
    "Arm",
    "Check",
    "DataConfig",
    "DryRunConfig",
    "EvaluateConfig",
    "OptimConfig",
    "PathsConfig",
    "RowConfig",
    "RunSpec",
    "RuntimeConfig",
    "ScaleConfig",
    "ScheduleConfig",
    "TaskConfig",
    "TrainConfig",
    "WeightsConfig",
    "at_least",
    "check",
    "compose",
    "configuration_page",
    "each",
    "explain",
    "fingerprint",
    "hydra_errors",
    "identity",
    "key",
    "known_keys",
    "leaves",
    "list_digest",
    "listed_sizes",
    "one_of",
    "override",
    "pair",
    "parse_options",
    "read_classes",
    "read_overrides",
    "recipe_of",
    "register",
    "resolve",
    "scale_names",
    "span",
    "spec_of",
    "task_schemas",
    "triple",
    "typed",
    "unknown_key",
]  # fmt: skip
