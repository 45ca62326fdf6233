"""The miniature world: drawn images of made-up classes and scenes, on disk in the official layouts."""

from miniworld.clips import ClipRecipe
from miniworld.contact_sheet import contact_sheet
from miniworld.generators import PARTS, named_recipe
from miniworld.recipe import Recipe, SetRecipe, SourceRecipe
from miniworld.scenes import SceneRecipe
from miniworld.views import ViewRecipe
from miniworld.world import build_world, check_world, ensure_world

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
