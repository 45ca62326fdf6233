"""Synthetic data sets, drawn procedurally and written in the layouts of the official ones. Needs numpy and PIL alone.

Five things to know:

1. There are four **parts** (:data:`PARTS`): ``objects`` (a source set and six fine-grained target sets), ``scenes``
   (label maps as in PASCAL-Context), ``views`` (labelled windows of scenes) and ``clips`` (masks and optical flow).
2. A **recipe** says what a part consists of; ``default``, ``tiny`` and some of the releases' sizes have names
   (:func:`named_recipe`). Its ``digest()`` is the identity of the data: runs that read it are named by it.
3. Every image is a function of the recipe's seed and of its own ids alone: the bytes are the same in every process
   and for any number of workers. ``miniworld.recipes.VERSIONS`` is raised where a change alters any of them.
4. A part lies in ``<artifacts>/world/<digest>``, whole or not at all (:func:`ensure_world`, :func:`build_world`), with
   checksums (:func:`check_world`). What is wrong is told by a :class:`WorldError` of one line.
5. Inside, ``drawing`` knows no objects, ``objects`` no scenes, ``scenes`` no clips. In each, ``files.py`` says which
   files there are (plan, render, annotate) and the other modules what they show.
"""

from miniworld.contact_sheet import contact_sheet
from miniworld.errors import WorldError
from miniworld.parts import PARTS, named_recipe
from miniworld.recipes import ClipRecipe, ObjectRecipe, Recipe, SceneRecipe, SetRecipe, SourceRecipe, ViewRecipe
from miniworld.world import Progress, build_world, check_world, ensure_world

__all__ = [
    "PARTS",
    "ClipRecipe",
    "ObjectRecipe",
    "Progress",
    "Recipe",
    "SceneRecipe",
    "SetRecipe",
    "SourceRecipe",
    "ViewRecipe",
    "WorldError",
    "build_world",
    "check_world",
    "contact_sheet",
    "ensure_world",
    "named_recipe",
]
