"""The suite: data sets, tasks, training, sweeps and report of the reproduction of the L2-SP paper."""

from importlib.util import find_spec

_MISSING = [
    name for name in ("hydra", "numpy", "pandas", "PIL", "timm", "torchvision", "yaml") if find_spec(name) is None
]
if _MISSING:
    raise ImportError(f"l2sp_suite needs {', '.join(_MISSING)}: pip install 'l2sp[suite]'")
