"""Sphinx: `make docs` executes every notebook page and example and turns warnings into errors."""

import os
import pathlib
import re
import sys
import tempfile

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

# figures of executed cells are SVG
PROFILE = tempfile.TemporaryDirectory()
(pathlib.Path(PROFILE.name) / "profile_default").mkdir()
(pathlib.Path(PROFILE.name) / "profile_default" / "ipython_kernel_config.py").write_text(
    'c = get_config()\nc.IPKernelApp.matplotlib = "inline"\nc.InlineBackend.figure_formats = {"svg"}\n'
)
os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"  # most of a build compiles programs that run once
os.environ |= {"IPYTHONDIR": PROFILE.name, "MPLBACKEND": "module://matplotlib_inline.backend_inline"}

project = "qnat"
author = copyright = "The qnat developers"
release = re.search(r'__version__ = "(.+)"', (HERE.parent / "qnat" / "__init__.py").read_text()).group(1)

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "gallery", "tables"]
exclude_patterns = ["_build", "_generated", "*.py"]

myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
nb_custom_formats = {".py": "gallery.read"}

default_role = "code"
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False
autosummary_generate = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
napoleon_use_rtype = False
napoleon_attr_annotations = False
napoleon_custom_sections = [("Attributes", "params_style")]

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "qnat"
html_static_path = ["_static"]
html_css_files = ["qnat.css"]
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5c8a", "color-brand-content": "#0b5c8a"},
    "dark_css_variables": {"color-brand-primary": "#7cc4ec", "color-brand-content": "#7cc4ec"},
}


def escape_bars(app, what, name, obj, options, lines):
    """Docstrings write |r| and <x|y>; between bars, reStructuredText expects the name of a substitution."""
    for number, line in enumerate(lines):
        parts = line.split("`")
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[number] = "`".join(parts)


AS_WRITTEN = [
    (re.compile(r"<class '(\w+)'>"), r"\1"),
    (re.compile(r"~?(?<![\w.])(?!qnat\.)(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])"), ""),
    (re.compile(r"Key\[[^|]*\| UInt32\[[^|]*\| UInt32\[[^]]*\]"), "PRNGKeyArray"),
    (
        re.compile(
            r"(\w+)\[Array, ('[^']*')\] \| \1\[ndarray, \2\](?: \| number)?(?: \| bool)?(?: \| int)?(?: \| float)?"
        ),
        r"\1[ArrayLike, \2]",
    ),
]


def shorten(app, what, name, obj, options, signature, returns):
    """Annotations as they are written, `Float[ArrayLike, "d d"]`, not as Python spells them out."""
    for pattern, short in AS_WRITTEN:
        signature, returns = (text and pattern.sub(short, text) for text in (signature, returns))
    return signature, returns


def skip_field(app, what, name, obj, skip, options):
    """Fields of a NamedTuple are described by its Attributes section."""
    return True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") else None


NAMED = re.compile(r"<m([io])(?: movablelimits=\"true\")?>([A-Za-z]{2,}|arg&#x02009;min)</m\1>")


def mathml(node, **options):
    """A formula as MathML; a command that the converter does not know is a warning, or it would be printed.

    Named functions get a thin space on both sides: the converter gives some a wide one and some none.
    """
    found = NAMED.sub(r'<mo lspace="0.12em" rspace="0.12em">\2</mo>', convert(node.astext(), **options))
    if "\\" in re.sub(r"<[^>]*>", "", found) or "&#x0005C;" in found:
        logging.getLogger(__name__).warning("unknown command in the formula %s", node.astext(), location=node)
    return found


def visit_math(self, node):
    """Formulas as MathML, which browsers draw themselves: pages need no script and no network."""
    self.body.append(mathml(node))
    raise nodes.SkipNode


def visit_math_block(self, node):
    """The same on a line of their own; Sphinx wraps several lines in `split`, which `aligned` already does."""
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(mathml(node, display="block") + "</div>")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.connect("autodoc-process-signature", shorten)
    app.connect("autodoc-skip-member", skip_field)
    app.connect("autodoc-process-docstring", escape_bars)
