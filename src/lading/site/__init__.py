"""What the pages show that nobody writes by hand: evidence, the checks, the list of paths.

Everything here is an extension of Python-Markdown, named by module in `mkdocs.yml`, since that is what both MkDocs and
its successor Zensical run; plugins and hooks of ours would be ignored there without a word.
"""
