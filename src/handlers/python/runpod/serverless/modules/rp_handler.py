"""What kind of function a handler is, told by its code's flags: importing inspect takes 10 ms."""

_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200


def _flags(handler):
    """The flags of the function below methods and partial functions; 0 for any other callable."""
    while not hasattr(handler, "__code__"):
        below = getattr(handler, "__func__", None)
        if below is None and type(handler).__name__ == "partial":
            below = handler.func
        if below is None:
            return 0
        handler = below
    return handler.__code__.co_flags


def is_generator(handler):
    """True if the handler yields the parts of a stream."""
    return bool(_flags(handler) & (_GENERATOR | _ASYNC_GENERATOR))


def is_async_generator(handler):
    return bool(_flags(handler) & _ASYNC_GENERATOR)


def is_coroutine(handler):
    return bool(_flags(handler) & _COROUTINE)


def is_awaitable(value):
    return hasattr(type(value), "__await__")
