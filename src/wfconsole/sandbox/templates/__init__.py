"""Sandbox templates: what an image is made of, how it comes to be, whether the one at hand is still that.

Owns the template file's shape, the ways to an image and the tag ``wfconsole/NAME``. Refuses to parse YAML (the caller hands
in the parsed mapping) and to run anything of a recipe. Surprising: a shipped image has no Dockerfile, it is a tar of
distribution packages and unpacked wheels, so that it can be made without any image registry and comes out the same twice.

`shape.parse` reads a template, `build.build` makes its image, `lock.Workshop` writes what it is on this machine and compares.
"""
