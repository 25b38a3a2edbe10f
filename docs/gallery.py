"""The examples as pages: percent scripts are read as notebooks, and a page shows them all with their pictures."""

import nbformat
from docutils import nodes
from nbformat import v4
from sphinx.util.docutils import SphinxDirective

FOLDER = "examples/"
_CELL, _TEXT = "# %%", " [markdown]"


def read(text: str) -> nbformat.NotebookNode:
    """A script whose cells begin with `# %%` as a notebook."""
    cells = []
    for cell in f"\n{text}".split(f"\n{_CELL}")[1:]:
        kind, _, body = cell.partition("\n")
        if kind == _TEXT:
            lines = (line.removeprefix("#").removeprefix(" ") for line in body.strip().splitlines())
            cells.append(v4.new_markdown_cell("\n".join(lines)))
        else:
            cells.append(v4.new_code_cell(body.strip()))
    return v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


class Cards(nodes.General, nodes.Element):
    """Where the cards of the examples stand, which are known when all pages have been read."""


class Gallery(SphinxDirective):
    """A card an example: its last picture, its title, its first paragraph."""

    def run(self):
        return [Cards()]


def fill(app, tree, page):
    """Puts the cards into the page that asked for them."""
    for place in tree.findall(Cards):
        grid = nodes.container(classes=["gallery"])
        for name in sorted(name for name in app.env.found_docs if name.startswith(FOLDER)):
            grid += _card(app, name, app.builder.get_relative_uri(page, name))
        place.replace_self(grid)


def _card(app, name, where):
    script = app.env.get_doctree(name)
    link = nodes.reference("", "", refuri=where, internal=True)
    if pictures := list(script.findall(nodes.image)):
        picture = pictures[-1].deepcopy()
        picture["alt"] = ""  # the title says it
        link += picture
    link += nodes.inline("", app.env.titles[name].astext(), classes=["title"])
    first = next(script.findall(nodes.paragraph))
    return nodes.container("", nodes.paragraph("", "", link), first.deepcopy(), classes=["card"])


def setup(app):
    app.add_node(Cards)
    app.add_directive("gallery", Gallery)
    app.connect("doctree-resolved", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
