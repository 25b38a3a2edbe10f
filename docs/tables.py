"""Tables that the code itself fills: the names of a room, and the options of a command."""

import importlib
import inspect

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.ext.autosummary import Autosummary
from sphinx.util.docutils import SphinxDirective

from qnat.experiment.registry import find_spec
from qnat.experiment.words.flat import choices
from qnat.experiment.words.options import described, grouped

_KINDS = {"N": "a whole number", "X": "a number", "NAME": "a word or a path", "VALUE": "a word or a number"}
_SIGNS = {"; < 2147483648": "", "; <= 9.007199255e+15": "", ">=": "≥", "<=": "≤", "; ": ", "}
"""Bounds that only keep numbers within a machine's are left out."""


def names_of(module):
    """The public names of a room, or what a file defines; rooms inside have sections of their own."""
    found = importlib.import_module(module)
    listed = getattr(found, "__all__", None)
    names = [name for name, value in vars(found).items() if _own(name, value, module)] if listed is None else listed
    return [name for name in names if not inspect.ismodule(getattr(found, name))]


def _own(name, value, module):
    defined = inspect.isclass(value) or inspect.isroutine(value)
    return defined and not name.startswith("_") and value.__module__ == module and bool(value.__doc__)


class Summary(Autosummary):
    """The public names of a module and the first sentences of what is said of them."""

    required_arguments = 1
    has_content = False

    def run(self):
        module = self.arguments[0]
        lines = [f"~{module}.{name}" for name in sorted(names_of(module), key=str.lower)]
        self.content = StringList(lines, self.get_source_info()[0])
        self.options["nosignatures"] = None
        return super().run()


class Options(SphinxDirective):
    """The options of a command, a table a group, from the fields of its spec."""

    required_arguments = 1

    def run(self):
        spec = find_spec(self.arguments[0])
        found = []
        for title, options in grouped(spec).items():
            found.append(nodes.rubric(text=title))
            rows = [_row(spec, name) for name in options]
            found.append(_table(("option", "default", "values", "what it says"), rows))
        return found


def _row(spec, name):
    values, text, users, within, default = described(spec, name)
    words = values.strip("{}").replace(",", ", ").replace("|", ", ")
    if values[0] != "{" and "|" not in values:
        words = _KINDS.get(values, values) if not within else _signs(within)
    texts = text.split("; ") if name in choices(spec) and ": " in text else [text]
    texts[-1] += f" ({users})" if users else ""
    said = nodes.line_block("", *(nodes.line("", line) for line in texts)) if len(texts) > 1 else _plain(texts[0])
    option = nodes.paragraph("", "", nodes.literal(text=f"--{name.replace('_', '-')}"))
    return option, _plain(default.lower() if "|" in values else default), _plain(words), said


def _plain(text):
    return nodes.paragraph("", text)


def _signs(text):
    for written, sign in _SIGNS.items():
        text = text.replace(written, sign)
    return text


def _table(titles, rows):
    group = nodes.tgroup("", cols=len(titles))
    group += [nodes.colspec(colwidth=1) for _ in titles]
    group += nodes.thead("", _line(map(_plain, titles)))
    group += nodes.tbody("", *map(_line, rows))
    return nodes.table("", group, classes=["options"])


def _line(cells):
    return nodes.row("", *(nodes.entry("", cell) for cell in cells))


def setup(app):
    app.setup_extension("sphinx.ext.autosummary")
    app.add_directive("summary", Summary)
    app.add_directive("options", Options)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
