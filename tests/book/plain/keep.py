"""A plugin for nbval: write the notebook as this run has executed it, if all is well, to $ODELIB_EXECUTED."""

import os
from itertools import groupby

import nbformat
import pytest
from nbformat.v4 import output_from_msg

OUTPUTS = {"stream", "display_data", "execute_result", "error"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Give the cell the outputs that the kernel sends, once nbval has compared them with those it had."""
    heard = []
    ask = item.parent.get_kernel_message

    def listen(**options):
        heard.append(ask(**options))
        return heard[-1]

    item.parent.get_kernel_message = listen
    try:
        return (yield)
    finally:
        item.parent.get_kernel_message = ask
        outputs = (output_from_msg(message) for message in heard if message["msg_type"] in OUTPUTS)
        item.cell.outputs = list(joined(outputs))
        item.cell.execution_count = item.cell_num + 1


def joined(outputs):
    """Yield the outputs, what was printed to one stream without a break being one of them."""
    for name, group in groupby(outputs, lambda output: output.get("name")):
        if name is None:
            yield from group
        else:
            first, *others = group
            first.text += "".join(other.text for other in others)
            yield first


def pytest_sessionfinish(session, exitstatus):
    if exitstatus == 0 and session.items:
        nbformat.write(session.items[0].parent.nb, os.environ["ODELIB_EXECUTED"])
