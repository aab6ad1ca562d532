"""The story that `countersign demo` plays on the embedded stack: eleven steps, each with what was expected and what was seen."""

from countersign.embedded.demo.play import run_demo

__all__ = ["run_demo"]
