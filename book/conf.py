"""Settings of the book: Sphinx reads this file first. `make book` builds."""

import sys
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

BOOK = Path(__file__).parent
sys.path.insert(0, str(BOOK))

import made  # noqa: E402  it is in this directory

import tutorial  # noqa: E402

project = "tutorial"
author = "the authors of tutorial"
copyright = "the authors of tutorial. The licence of text and code is MIT"
release = tutorial.__version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "mathml",
]
exclude_patterns = ["build", "made"]

# ---- text and notebooks

myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # the outputs are stored; `make test` runs the lessons and compares
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # static/widgets.js is all that they take
nb_merge_streams = True

# ---- the reference

default_role = "code"  # docstrings write `so`
add_module_names = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_custom_sections = [
    ("Attributes", "params_style"),
    "Returns",  # a sentence; else what stands before a colon were a type
]

# What other libraries explain, and what only our own code handles.
nitpick_ignore_regex = [
    ("py:class", r"(torch|numpy|os|pathlib|collections|matplotlib|t)\..*|Figure"),
    (
        "py:class",
        r"tutorial\.(unroll\.hooks\.\w+|display\.report\.Report|course\.exercises\.verdict\.\w+)",
    ),
]

# ---- the looks; every file is in the book itself

html_theme = "sphinx_book_theme"
html_title = "tutorial"
html_static_path = ["static"]
html_favicon = "static/loop.svg"
html_css_files = ["style.css"]
html_js_files = [("widgets.js", {"defer": "defer"})]
html_math_renderer = "mathml"
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is
html_theme_options = {
    "logo": {"text": "tutorial", "image_light": "static/loop.svg", "image_dark": "static/loop.svg"},
    "home_page_in_toc": False,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_navbar_depth": 1,
    "footer_content_items": ["copyright"],
    "navbar_start": [],
    "navbar_center": [],
    "navbar_end": [],
    "navbar_persistent": [],
    "pygments_light_style": "default",
    "pygments_dark_style": "github-dark",
}
html_copy_source = False
html_use_index = False  # "The API on one page" is the index
html_show_sourcelink = False

# ---- translation: python -m sphinx -b gettext book build/gettext

locale_dirs = ["locale"]
gettext_compact = False

made.write_all()


def show_plain_types(app: Any, function: Any, bound_method: bool) -> None:
    """A reader of a signature wants `int`; its bounds are in the sentence on the argument."""
    kinds = getattr(function, "__annotations__", {})
    kinds.update({name: without_bounds(kind) for name, kind in kinds.items()})


def without_bounds(kind: Any) -> Any:
    """The type without what Annotated adds."""
    if get_origin(kind) is Annotated:
        return without_bounds(get_args(kind)[0])
    parts = [without_bounds(part) for part in get_args(kind)]
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(parts)]  # noqa: UP007 - of as many as there are
    return tuple.__class_getitem__(tuple(parts)) if get_origin(kind) is tuple else kind


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-before-process-signature", show_plain_types)
