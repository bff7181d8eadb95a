"""How the probe's library classes the nodes of a graph, and where it synchronises."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgemoe_appliance.schema.resources import resource_folder
from tests.engine.compilers import found_compiler

HERE = Path(__file__).parent
LAYERS = 16
USED = 8


@dataclass(frozen=True, kw_only=True)
class Classified:
    """What the library makes of one node."""

    name: str
    own: str
    charged: str
    edge: bool
    unknown: bool
    projection: bool
    role: int
    layer: int


Classifier = Callable[[list[tuple[str, str]]], list[Classified]]


@pytest.fixture(scope="module")
def classify(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    program = tmp_path_factory.mktemp("classes") / "probe_classes"
    probe = resource_folder("docker") / "probe"
    sources = [str(HERE / "probe_classes.cpp"), str(probe / "node_class.cpp")]
    subprocess.run(
        [
            *(found_compiler(), "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{probe}"),
            *(*sources, "-o", str(program)),
        ],
        check=True,
    )

    def run(nodes: list[tuple[str, str]]) -> list[Classified]:
        lines = "".join(f"{operation}\t{name}\n" for operation, name in nodes)
        shown = subprocess.run([program], input=lines, capture_output=True, text=True, check=True)
        rows = [line.split("\t") for line in shown.stdout.splitlines()]
        return [
            Classified(
                name=name,
                own=own,
                charged=to,
                edge=edge == "1",
                unknown=unknown == "1",
                projection=projection == "1",
                role=int(role),
                layer=int(layer),
            )
            for (_, name), (own, to, edge, unknown, projection, role, layer) in zip(
                nodes, rows, strict=True
            )
        ]

    return run


def _attention(layer: int) -> list[tuple[str, str]]:
    plain = [
        *(("RMS_NORM", "norm"), ("MUL", "attn_norm"), ("MUL_MAT", "Qcur"), ("RMS_NORM", "norm")),
        *(("MUL", "Qcur_normed"), ("RESHAPE", "Qcur_normed-? (reshaped)"), ("ROPE", "Qcur_rope")),
        *(("MUL_MAT", "Kcur"), ("RMS_NORM", "norm"), ("MUL", "Kcur_normed")),
        *(("RESHAPE", "Kcur_normed-? (reshaped)"), ("ROPE", "Kcur_rope"), ("MUL_MAT", "Vcur")),
        *(("VIEW", "k_cache_view"), ("CPY", "k_cache_view-? (copy of Kcur_rope-?)")),
        *(("TRANSPOSE", "Vcur-? (transposed)"), ("VIEW", "v_cache_view")),
        *(("CPY", "v_cache_view-? (copy of Vcur-? (transposed))"), ("VIEW", "v"), ("VIEW", "k")),
        *(("PERMUTE", "q"), ("MUL_MAT", "kq"), ("SOFT_MAX", "kq_soft_max_ext")),
        *(("MUL_MAT", "kqv"), ("PERMUTE", "kqv_merged"), ("CONT", "kqv_merged_cont")),
        ("MUL_MAT", "kqv_out"),
    ]
    return [(operation, _in_layer(name, layer)) for operation, name in plain]


def _in_layer(name: str, layer: int) -> str:
    return name.replace("?", str(layer)) if "?" in name else f"{name}-{layer}"


def _moe_block(layer: int, first: int) -> list[tuple[str, str]]:
    """Return the nodes of a MoE block; `first` is the index of its first node in the graph."""
    plain = [
        *(("ADD", "ffn_inp"), ("RMS_NORM", "norm"), ("MUL", "ffn_norm")),
        *(("RESHAPE", "ffn_norm-? (reshaped)"), ("MUL_MAT", "ffn_moe_logits")),
        *(("SOFT_MAX", "ffn_moe_probs"), ("ARGSORT", "ffn_moe_argsort"), ("VIEW", "ffn_moe_topk")),
        *(("MUL_MAT_ID", "ffn_moe_up"), ("MUL_MAT_ID", "ffn_moe_gate"), ("SILU", "ffn_moe_silu")),
        *(("MUL", "ffn_moe_gate_par"), ("MUL_MAT_ID", "ffn_moe_down")),
        *(("RESHAPE", "ffn_moe_probs-? (reshaped)"), ("GET_ROWS", "ffn_moe_weights")),
    ]
    nodes = [(operation, _in_layer(name, layer)) for operation, name in plain]
    nodes += [("MUL", f"node_{first + len(nodes)}"), ("VIEW", " (view)")]
    for _ in range(USED - 2):
        nodes.append(("VIEW", " (view)"))
        nodes.append(("ADD", f"node_{first + len(nodes)}"))
    nodes += [("VIEW", " (view)"), ("ADD", f"ffn_moe_out-{layer}"), ("ADD", f"l_out-{layer}")]
    return nodes


def _olmoe_graph() -> list[tuple[str, str]]:
    """Return the graph that b4404 and b4447 build for OLMoE-1B-7B, as operations and names."""
    nodes = [("GET_ROWS", "inp_embd")]
    for layer in range(LAYERS):
        nodes += _attention(layer)
        if layer == LAYERS - 1:
            nodes += [("GET_ROWS", f"node_{len(nodes)}"), ("GET_ROWS", f"node_{len(nodes) + 1}")]
        nodes += _moe_block(layer, len(nodes))
    return [*nodes, ("RMS_NORM", "norm"), ("MUL", "result_norm"), ("MUL_MAT", "result_output")]


def test_the_graph_of_olmoe_has_the_counts_of_the_full_model(classify: Classifier) -> None:
    found = classify(_olmoe_graph())
    own = Counter(node.own for node in found)
    assert len(found) == 950
    assert own == {"routing": 96, "expert_ffn": 336, "attention": 434, "head": 3, "other": 81}
    assert not any(node.unknown for node in found)


def test_the_study_counted_six_and_five_nodes_of_a_layer(classify: Classifier) -> None:
    found = classify(_olmoe_graph())
    projections = [node.name.partition("-")[0] for node in found if node.projection]
    names = ("up", "gate", "silu", "gate_par", "down")
    assert Counter(projections) == {f"ffn_moe_{name}": LAYERS for name in names}
    routing = sum(node.own == "routing" for node in found)
    # 6240 and 5200 in the study: 65 graphs.
    assert (65 * routing, 65 * len(projections)) == (6240, 5200)


def test_logits_and_chosen_experts_are_found_in_every_layer(classify: Classifier) -> None:
    found = classify(_olmoe_graph())
    for role, name in ((1, "ffn_moe_logits"), (2, "ffn_moe_topk")):
        layers = [(node.name, node.layer) for node in found if node.role == role]
        assert layers == [(f"{name}-{layer}", layer) for layer in range(LAYERS)]


def test_a_view_is_of_its_tensor_s_layer_and_other_numbers_are_of_none(
    classify: Classifier,
) -> None:
    names = ["ffn_moe_probs-12 (reshaped)", "node_43", " (view)", "norm", "x-1234567"]
    assert [n.layer for n in classify([("ADD", name) for name in names])] == [12, -1, -1, -1, -1]


def test_boundary_mode_synchronises_three_times_a_layer_and_at_the_end(
    classify: Classifier,
) -> None:
    found = classify(_olmoe_graph())
    edges = [node.name.partition("-")[0] for node in found if node.edge]
    assert Counter(edges) == {
        "ffn_norm": LAYERS,
        "ffn_moe_topk": LAYERS,
        "ffn_moe_out": LAYERS,
        "result_output": 1,
    }


def test_what_follows_the_down_projection_is_split_by_position(classify: Classifier) -> None:
    found = classify(_olmoe_graph())
    down = next(i for i, node in enumerate(found) if node.name == "ffn_moe_down-3")
    late = found[down + 1 : down + 4]
    assert [node.own for node in late] == ["routing", "routing", "expert_ffn"]
    assert {node.charged for node in late} == {"expert_ffn"}


def test_no_time_crosses_the_border_of_the_moe_block(classify: Classifier) -> None:
    inside = {"routing", "expert_ffn"}
    for node in classify(_olmoe_graph()):
        assert (node.own in inside) == (node.charged in inside), node


def test_a_name_that_only_looks_like_a_known_one_is_unknown(classify: Classifier) -> None:
    names = [
        "ffn_moe_logitsx-0",
        "ffn_moe_fnord-1",
        "Qcurious",
        "ffn_norm-0 (reshaped)",
        "kqv_out-2",
    ]
    found = classify([("ADD", name) for name in names])
    assert [node.unknown for node in found] == [True, True, True, False, False]
    assert [node.own for node in found] == ["other", "other", "other", "other", "attention"]


def test_a_final_product_without_a_name_belongs_to_the_head(classify: Classifier) -> None:
    # Gemma-2 caps its logits, and only the last of those nodes has a name.
    tail = [("MUL", "result_norm"), ("MUL_MAT", "node_1046"), ("TANH", "node_1048")]
    assert {node.own for node in classify([*tail, ("SCALE", "result_output")])} == {"head"}


# What graphs of later engines hold between known names: (operation, name) and the expected class,
# `?` where nothing known may be claimed.
DOWN = [("MUL_MAT_ID", "ffn_moe_up-0"), ("MUL_MAT_ID", "ffn_moe_down-0")]
OUT = [("MUL", "node_9"), ("VIEW", " (view)"), ("ADD", "ffn_moe_out-0")]


@pytest.mark.parametrize(
    ("before", "nodes", "after"),
    [
        # The softmax of the chosen experts' weights, gathered after the down projection.
        (
            DOWN,
            [
                ("GET_ROWS", "ffn_moe_weights-0", "routing"),
                ("RESHAPE", "node_4", "routing"),
                ("SOFT_MAX", "node_5", "routing"),
                ("RESHAPE", "ffn_moe_weights_softmax-0", "routing"),
                ("MUL", "node_7", "expert_ffn"),
            ],
            OUT,
        ),
        (DOWN, [("SOFT_MAX", "node_5", "routing"), ("MUL", "node_6", "expert_ffn")], OUT),
        (DOWN[:1], [("SOFT_MAX", "node_5", "routing")], DOWN[1:]),
        # A sum of weights that leads to their norm.
        (
            DOWN,
            [("SUM_ROWS", "node_3", "routing"), ("DIV", "ffn_moe_weights_norm-0", "routing")],
            OUT,
        ),
        # One norm's name at two places.
        (
            [("MUL_MAT", "kqv_out-0")],
            [("RMS_NORM", "norm-0", "attention"), ("MUL", "attn_post_norm-0", "attention")],
            [("ADD", "sa_out-0")],
        ),
        (
            [("MUL_MAT", "attn_out-0"), ("ADD", "attn_residual-0")],
            [("RMS_NORM", "norm-0", "other"), ("MUL", "attn_post_norm-0", "other")],
            [("MUL_MAT", "ffn_up-0")],
        ),
        (
            [("MUL_MAT", "attn_out-0")],
            [("MUL", "post_attn_norm-0", "?")],
            [("MUL_MAT", "ffn_up-0")],
        ),
        ([("MUL_MAT", "attn_out-0")], [("ADD", "attn_residual-0", "other")], []),
        # State spaces: neither attention nor FFN.
        (
            [("MUL", "attn_norm-0")],
            [
                ("MUL_MAT", "node_2", "?"),
                ("SSM_CONV", "node_3", "?"),
                ("SSM_SCAN", "node_4", "?"),
                ("MUL_MAT", "mamba_out-0", "?"),
            ],
            [("ADD", "ffn_inp-0")],
        ),
        ([("MUL", "attn_norm-0")], [("MUL_MAT", "mamba_in_proj-0", "?")], []),
        # A projection with a bias has its name behind the sum in later graphs.
        (
            [("MUL", "attn_norm-0")],
            [("MUL_MAT", "node_2", "attention"), ("ADD", "Qcur-0", "attention")],
            [("MUL_MAT", "node_4"), ("ADD", "Kcur-0")],
        ),
        (
            [("MUL", "attn_norm-0")],
            [("MUL_MAT", "node_2", "attention"), ("RESHAPE", "node_3", "attention")],
            [("ROPE", "Qcur-0")],
        ),
        ([("MUL", "attn_norm-0")], [("MUL_MAT", "node_2", "?")], [("MUL_MAT", "Qcur-0")]),
        ([("MUL", "attn_norm-0")], [("MUL_MAT", "node_2", "?")], [("ADD", "ffn_inp-0")]),
        # The projection behind attention has no name in later graphs: its place tells.
        (
            [("MUL", "attn_norm-0"), ("MUL_MAT", "kqv-0"), ("CONT", "kqv_out-0")],
            [("MUL_MAT", "node_8", "attention")],
            [("ADD", "ffn_inp-0")],
        ),
        (DOWN[:1], [("MUL", "ffn_moe_situ-0", "expert_ffn")], DOWN[1:]),
        ([("ADD", "ffn_moe_out-0")], [("ADD", "ffn_moe_combined-0", "other")], []),
        (DOWN[:1], [("MUL", "ffn_moe_later-0", "?")], DOWN[1:]),
    ],
)
def test_later_graphs_get_a_class_or_are_unknown(
    classify: Classifier,
    before: list[tuple[str, str]],
    nodes: list[tuple[str, str, str]],
    after: list[tuple[str, str]],
) -> None:
    graph = [*before, *((operation, name) for operation, name, _ in nodes), *after]
    found = classify(graph)[len(before) : len(before) + len(nodes)]
    assert [(node.name, "?" if node.unknown else node.own) for node in found] == [
        (name, expected) for _, name, expected in nodes
    ]
    assert all(node.own == "other" for node in found if node.unknown)
