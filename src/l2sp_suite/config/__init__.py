"""Configuration: schema with ranges, composition, and `RunSpec`, a run resolved once."""

from l2sp_suite.config.compose import compose, hydra_errors, override, register, typed
from l2sp_suite.config.keys import known_keys, leaves, task_schemas
from l2sp_suite.config.messages import explain, unknown_key
from l2sp_suite.config.options import parse_options
from l2sp_suite.config.places import CONFIGS, PRINTED, ROOT, scale_names
from l2sp_suite.config.reference import configuration_page
from l2sp_suite.config.schema import (
    Arm,
    DataConfig,
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

__all__ = [
    "CONFIGS", "PRINTED", "ROOT", "Arm", "DataConfig", "EvaluateConfig", "OptimConfig", "PathsConfig", "RowConfig",
    "RunSpec", "RuntimeConfig", "ScaleConfig", "ScheduleConfig", "TaskConfig", "TrainConfig", "WeightsConfig",
    "compose", "configuration_page", "explain", "fingerprint", "hydra_errors", "identity", "known_keys", "leaves",
    "override", "parse_options", "register", "resolve", "scale_names", "spec_of", "task_schemas", "typed",
    "unknown_key",
]  # fmt: skip
