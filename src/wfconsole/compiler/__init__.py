"""The compiler: recipe text in, plan and findings out.

Owns YAML, positions, the tables of the recipe language and its expressions. Refuses to know runs, stores and sandboxes.
Importing the package imports nothing: `compile`, `catalog`, `expressions` and `schema` are taken one by one, so that a
command pays only for what it uses.
"""
