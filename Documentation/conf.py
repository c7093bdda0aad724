# SPDX-License-Identifier: GPL-2.0-only
"""How sphinx builds the documents alone: `make docs`. In a kernel's source, the kernel's conf.py does."""

project = "pinseal"
author = "The pinseal authors"
copyright = "2026, The pinseal authors"  # noqa: A001
exclude_patterns = ["requirements.txt"]
html_theme = "alabaster"
html_theme_options = {"description": "Memory that can be sealed while its pages are pinned", "page_width": "1100px"}
html_show_sphinx = False
# Code blocks without a language are what a terminal shows, or C.
highlight_language = "none"
