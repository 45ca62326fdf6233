"""The miniature world: drawn images of made-up classes and scenes, on disk in the official layouts."""

from l2sp.data.miniature.clips import ClipRecipe
from l2sp.data.miniature.parts import PARTS, named_recipe
from l2sp.data.miniature.recipe import Recipe, SetRecipe, SourceRecipe
from l2sp.data.miniature.scenes import SceneRecipe
from l2sp.data.miniature.sheet import contact_sheet
from l2sp.data.miniature.views import ViewRecipe
from l2sp.data.miniature.world import build_world, check_world, ensure_world

__all__ = [
    "PARTS",
    "ClipRecipe",
    "Recipe",
    "SceneRecipe",
    "SetRecipe",
    "SourceRecipe",
    "ViewRecipe",
    "build_world",
    "check_world",
    "contact_sheet",
    "ensure_world",
    "named_recipe",
]
