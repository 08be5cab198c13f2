"""Which options a factory of networks takes."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

# Networks that another factory hands over; no setting.
_HANDED_OVER = {"network", "shape"}


def option_names(factory: Callable[..., Any]) -> tuple[str, ...]:
    """List the options that a factory takes by name.

    Parameters
    ----------
    factory : callable
        A function, a class, or a partial of one; ``**options`` of a class are those of
        the classes it inherits from.

    Returns
    -------
    tuple of str
        Sorted, without sizes and what a partial has settled.
    """
    settled: Collection[str] = ()
    if isinstance(factory, partial):
        settled, factory = factory.keywords, factory.func
    makers: list[Any] = [factory]
    if inspect.isclass(factory):
        own = [vars(parent).get("__init__") for parent in factory.__mro__]
        makers = [maker for maker in own if maker is not None]
    names: set[str] = set()
    for maker in makers:
        parameters = inspect.signature(maker).parameters.values()
        names |= {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return tuple(sorted(names - set(settled) - _HANDED_OVER))


def require_options(
    factory: Callable[..., Any], options: Mapping[str, Any], what: str
) -> None:
    """Refuse options that a factory does not take.

    Parameters
    ----------
    factory : callable
        As `option_names`.
    options : mapping
        By name.
    what : str
        What the factory makes, for the message.

    Raises
    ------
    ConfigurationError
        Naming unknown options and the known ones.
    """
    known = option_names(factory)
    if unknown := sorted(set(options) - set(known)):
        msg = (
            f"{what} has no options {', '.join(map(repr, unknown))}; known are "
            f"{', '.join(known) or 'none'}"
        )
        raise ConfigurationError(msg)
