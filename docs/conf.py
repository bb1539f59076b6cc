"""Pages of the documentation: ``make docs`` writes them to ``docs/_build``."""

from alphadia_tl import __version__

project = "alphadia_tl"
author = "alphadia_tl contributors"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"alphadia_tl {release}"
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
