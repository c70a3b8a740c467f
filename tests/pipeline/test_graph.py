"""Graphs: what compiles, and what is refused with which words."""

import pytest

from hdl.pipeline import DEFAULT_GRAPH, GraphError, TransitionEntry, compile_graph
from sim.pipeline import Graph

_ETHERNET = 'start = "ethernet"\n[state.ethernet]\n'


def test_default_graph_has_every_transition_of_the_model():
    tables = compile_graph(DEFAULT_GRAPH, ["network"])
    graph = Graph.load(DEFAULT_GRAPH)
    layout = TransitionEntry()
    rows = [layout.from_bits(row) for row in tables.transitions if row]
    found = {(tables.names[row["state"]], tables.names[row["next"]]) for row in rows}
    assert len(rows) == sum(len(state.rows) for state in graph.states.values())
    assert found == {(s.name, to) for s in graph.states.values() for to in s.rows.values()}


@pytest.mark.parametrize(
    "text,message",
    [
        ("start = ", "Invalid value"),
        ('start = "x"\n', "start must be a state, not 'x'"),
        ('start = "x"\n[state.x]\n', "state x: there is no header 'x'"),
        (_ETHERNET + 'colour = "red"', "state ethernet has unknown parts"),
        (_ETHERNET + 'key = ["vid"]', "ethernet has no field 'vid'"),
        (_ETHERNET + 'key = ["source_address"]', "key must be within 3 bytes"),
        (_ETHERNET + 'key = ["ethertype"]\nnext = [[1, "y"]]', "leads to 'y', which is no state"),
        (_ETHERNET + 'key = ["ethertype"]\nnext = [["ethernet"]]', "a row has 0 values, not 1"),
        (
            _ETHERNET + 'key = ["ethertype"]\nnext = [[65536, "ethernet"]]',
            "ethertype cannot be 65536",
        ),
        (
            _ETHERNET + 'key = ["ethertype"]\nnext = [[1, "ethernet"], [1, "ethernet"]]',
            "stands there twice",
        ),
        (_ETHERNET + 'role = "king"', "there is no role 'king'"),
        (_ETHERNET + 'check = { field = "ethertype", value = 1 }', "must lie in one"),
    ],
)
def test_what_is_no_graph_is_refused(text, message, tmp_path):
    path = tmp_path / "graph.toml"
    path.write_text(text)
    with pytest.raises(GraphError, match=message):
        compile_graph(path, [])


def test_a_graph_with_too_many_states_is_refused(tmp_path):
    states = "".join(f'[state.s{n}]\nheader = "udp"\n' for n in range(64))
    path = tmp_path / "graph.toml"
    path.write_text('start = "s0"\n' + states)
    with pytest.raises(GraphError, match="at most 63 states, not 64"):
        compile_graph(path, [])
