"""Source selection: the classes of a source nearest to some targets (docs/protocols/dstl.md#source-selection)."""

from l2sp_suite.source_selection.config import FeaturesConfig, SelectionConfig, load_selection
from l2sp_suite.source_selection.select import Selection, select_source
from l2sp_suite.source_selection.write import write_selection

__all__ = [
    "FeaturesConfig", "Selection", "SelectionConfig", "load_selection", "select_source", "write_selection",
]  # fmt: skip
