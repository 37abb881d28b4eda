"""How odelib is installed: from its repository, for it has no name in a registry."""

REPOSITORY = "https://github.com/OWNER/transformers-as-odes"
"""The project's address, as in ``pyproject.toml``; ``make address`` changes both."""


def without(package: str, extra: str, what: str) -> str:
    """Return the sentence for a package that is not installed.

    Args:
        package: The package that is missing.
        extra: The extra of odelib that brings it.
        what: What needs it; the sentence begins with these words.
    """
    remedy = f"pip install '.[{extra}]' in a clone, or pip install 'odelib[{extra}] @ git+{REPOSITORY}'"
    return f"{what} needs the package {package}, which is not installed: {remedy}"
