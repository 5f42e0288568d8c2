"""Jinja2 templates that are programs: `lp.Template(source)`."""

from .template import Template

__all__ = ["Template"]
