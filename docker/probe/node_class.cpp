#include "node_class.h"

#include <array>

namespace edgemoe_probe {
namespace {

enum class Naming : std::uint8_t {
    kNamed,    // in a table
    kUnknown,  // named, in no table
    kUnnamed,  // takes the class of its position
    kHelper,   // first half of a norm: takes the class of the named node it leads to
};

struct Judgement {
    Naming naming;
    NodeClass cls;
};

// Names are given by llama.cpp (the `cb(tensor, "name", layer)` calls of its graph builders). An
// entry stands for itself and for itself followed by `_...`: `ffn_moe_weights` covers
// `ffn_moe_weights_norm`. The ffn_moe_ entries are the tags of llm_build_moe_ffn.
constexpr std::array<std::string_view, 6> kRoutingNames = {
    "ffn_moe_logits", "ffn_moe_probs",   "ffn_moe_argsort",
    "ffn_moe_topk",   "ffn_moe_weights", "ffn_moe_group",
};
constexpr std::array<std::string_view, 13> kExpertNames = {
    "ffn_moe_up",    "ffn_moe_gate",  "ffn_moe_down",     "ffn_moe_silu", "ffn_moe_gelu",
    "ffn_moe_relu",  "ffn_moe_act",   "ffn_moe_swiglu",   "ffn_moe_situ", "ffn_moe_geglu",
    "ffn_moe_reglu", "ffn_moe_weighted", "ffn_moe_out",
};
// Sums of a block's input and output, whose names begin like those of the block. With the two names
// that later graphs give to a norm between attention and FFN, which says nothing of its place:
// before the sum it is attention's, after it the FFN's.
constexpr std::array<std::string_view, 5> kResidualNames = {
    "attn_residual", "ffn_residual", "ffn_inp", "sa_out", "residual",
};
constexpr std::array<std::string_view, 2> kPostNormNames = {"attn_post_norm", "post_attn_norm"};
// A product without a name right after one of these is a projection: of attention where the name
// comes with the bias that is added to it, else of a layer that is neither attention nor FFN (a state
// space, a convolution).
constexpr std::string_view kInputNorm = "attn_norm";
constexpr std::array<std::string_view, 21> kAttentionNames = {
    "attn", "Qcur", "Kcur", "Vcur",    "q",       "k",       "v",
    "kq",   "kqv",  "wqkv", "bqkv",    "wo",      "k_cache", "v_cache",
    "qkv",  "q_pe", "k_pe", "cache_k", "cache_v", "kv",      "fattn",
};
constexpr std::array<std::string_view, 3> kHeadNames = {"result", "lmhead", "output_norm"};
// Known and none of the four: embedding, residual sums, dense and shared FFN, cache upkeep.
constexpr std::array<std::string_view, 27> kOtherNames = {
    "inp",       "inpL",          "pos_embd", "ffn_inp",        "ffn_norm",  "ffn_up",
    "ffn_gate",  "ffn_down",      "ffn_silu", "ffn_gelu",       "ffn_relu",  "ffn_act",
    "ffn_mul",   "ffn_out",       "ffn_post", "ffn_sub",        "ffn_shexp", "ffn_swiglu",
    "ffn_geglu", "l_out",         "sa_out",   "layer_out_norm", "K_f32",     "K_shifted",
    "embd",      "ffn_moe_shexp",  "ffn_moe_combined",
};

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view without_digits(std::string_view text) {
    while (!text.empty() && is_digit(text.back())) text.remove_suffix(1);
    return text;
}

bool starts_with(std::string_view text, std::string_view head) {
    return text.substr(0, head.size()) == head;
}

template <std::size_t N>
bool has(const std::array<std::string_view, N>& entries, std::string_view base) {
    for (std::string_view entry : entries) {
        if (!starts_with(base, entry)) continue;
        if (base.size() == entry.size() || base[entry.size()] == '_') return true;
    }
    return false;
}

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& entries, std::string_view base) {
    for (std::string_view entry : entries) {
        if (base == entry) return true;
    }
    return false;
}

Judgement judge(std::string_view base) {
    if (base.empty()) return {Naming::kUnnamed, NodeClass::kOther};
    if (base == "norm" || base == "norm_w") return {Naming::kHelper, NodeClass::kOther};
    if (is_one_of(kResidualNames, base)) return {Naming::kNamed, NodeClass::kOther};
    if (has(kRoutingNames, base)) return {Naming::kNamed, NodeClass::kRouting};
    if (has(kExpertNames, base)) return {Naming::kNamed, NodeClass::kExpertFfn};
    if (has(kAttentionNames, base)) return {Naming::kNamed, NodeClass::kAttention};
    if (has(kHeadNames, base)) return {Naming::kNamed, NodeClass::kHead};
    if (has(kOtherNames, base)) return {Naming::kNamed, NodeClass::kOther};
    return {Naming::kUnknown, NodeClass::kOther};
}

bool in_moe_block(NodeClass cls) {
    return cls == NodeClass::kRouting || cls == NodeClass::kExpertFfn;
}

bool has_name(const PlannedNode& node) {
    const Naming naming = judge(base_of(node.name)).naming;
    return naming == Naming::kNamed || naming == Naming::kUnknown;
}

bool is_residual_sum(const PlannedNode* nodes, std::size_t at) {
    return is_one_of(kResidualNames, base_of(nodes[at].name));
}

// The class of a norm between attention and FFN, by the sum that lies before or behind it.
Judgement judge_post_norm(const PlannedNode* nodes, std::size_t count, std::size_t at) {
    std::size_t i = at;
    while (i > 0 && !has_name(nodes[i - 1])) --i;
    if (i > 0 && is_residual_sum(nodes, i - 1)) return {Naming::kNamed, NodeClass::kOther};
    std::size_t next = at + 1;
    while (next < count && !has_name(nodes[next])) ++next;
    if (next < count && is_residual_sum(nodes, next)) {
        return {Naming::kNamed, NodeClass::kAttention};
    }
    return {Naming::kUnknown, NodeClass::kOther};
}

Judgement judge_at(const PlannedNode* nodes, std::size_t count, std::size_t at) {
    const std::string_view base = base_of(nodes[at].name);
    return is_one_of(kPostNormNames, base) ? judge_post_norm(nodes, count, at) : judge(base);
}

NodeClass class_ahead(const PlannedNode* nodes, std::size_t count, std::size_t from) {
    for (std::size_t i = from; i < count; ++i) {
        if (has_name(nodes[i])) return judge_at(nodes, count, i).cls;
    }
    return NodeClass::kOther;
}

// Whether the next name behind an unnamed product is attention's, with no other product before it:
// what lies between is a bias and reshapes of what the product gave.
bool leads_to_attention(const PlannedNode* nodes, std::size_t count, std::size_t product) {
    for (std::size_t i = product + 1; i < count && !nodes[i].softmax; ++i) {
        if (has_name(nodes[i])) {
            return !nodes[i].product && judge_at(nodes, count, i).cls == NodeClass::kAttention;
        }
        if (nodes[i].product) return false;
    }
    return false;
}

// What has been passed on the way through the graph.
struct Passed {
    NodeClass cls = NodeClass::kOther;
    bool unknown = false;
    bool in_moe = false;     // between the first and the last named node of a MoE block
    bool combining = false;  // after its down projection
    bool at_norm = false;    // the last named node is the norm at the input of a layer
};

// An unnamed node continues what came before it, if that is known. There are exceptions. At the
// end of a MoE block the routing weights are gathered after the down projection: unnamed nodes that
// lead to such a weight, and a softmax, are routing's, and those behind apply the weights to the
// experts' outputs and sum these up, which is the experts' work.
void place_unnamed(PlannedNode* nodes, std::size_t count, std::size_t at, const Passed& passed) {
    PlannedNode& node = nodes[at];
    node.own = passed.cls;
    node.unknown = passed.unknown;
    if (passed.in_moe && node.softmax) {
        node.own = NodeClass::kRouting;
    } else if (passed.combining) {
        const bool leads = class_ahead(nodes, count, at + 1) == NodeClass::kRouting;
        node.own = leads ? NodeClass::kRouting : NodeClass::kExpertFfn;
    } else if (passed.at_norm && node.product) {
        node.unknown = !leads_to_attention(nodes, count, at);
        node.own = node.unknown ? NodeClass::kOther : NodeClass::kAttention;
    }
}

void pass_named(std::string_view base, NodeClass cls, Passed& passed) {
    passed.in_moe = in_moe_block(cls) && base != "ffn_moe_out";
    if (starts_with(base, "ffn_moe_down")) passed.combining = true;
    if (!passed.in_moe) passed.combining = false;
    passed.at_norm = base == kInputNorm;
}

NodeRole role_of(std::string_view base) {
    if (base == "ffn_moe_logits") return NodeRole::kLogits;
    return base == "ffn_moe_topk" ? NodeRole::kChosen : NodeRole::kNone;
}

// Of a view or a reshape of a tensor it is that of the tensor.
std::int32_t layer_of(std::string_view name) {
    name = name.substr(0, name.find(" ("));
    const std::string_view stem = without_digits(name);
    const std::string_view digits = name.substr(stem.size());
    if (digits.empty() || digits.size() > 6 || stem.empty() || stem.back() != '-') return -1;
    std::int32_t layer = 0;
    for (char c : digits) layer = 10 * layer + (c - '0');
    return layer;
}

void assign_own_classes(PlannedNode* nodes, std::size_t count) {
    Passed passed;
    for (std::size_t i = 0; i < count; ++i) {
        const Judgement found = judge_at(nodes, count, i);
        const std::string_view base = base_of(nodes[i].name);
        nodes[i].unknown = found.naming == Naming::kUnknown;
        nodes[i].role = role_of(base);
        nodes[i].layer = layer_of(nodes[i].name);
        const bool combined = passed.combining;
        if (found.naming == Naming::kUnnamed) {
            place_unnamed(nodes, count, i, passed);
        } else if (found.naming == Naming::kHelper) {
            nodes[i].own = class_ahead(nodes, count, i + 1);
        } else {
            nodes[i].own = found.cls;
            pass_named(base, found.cls, passed);
        }
        nodes[i].projection = nodes[i].own == NodeClass::kExpertFfn && !combined &&
                              base != "ffn_moe_out";
        passed.cls = nodes[i].own;
        passed.unknown = nodes[i].unknown;
    }
}

struct Run {
    std::size_t begin;
    std::size_t end;
    bool heavy;
};

Run run_at(const PlannedNode* nodes, std::size_t count, std::size_t begin) {
    Run run{begin, begin, false};
    while (run.end < count && nodes[run.end].own == nodes[begin].own) {
        run.heavy = run.heavy || nodes[run.end].product;
        ++run.end;
    }
    return run;
}

// The class that gets the time of a run. A run without a matrix product (the weights gathered
// after the down projection, residual sums, norms, the embedding) takes less time than the
// synchronisation at its edge would, so it gets no edge of its own and joins a neighbour; but
// nothing crosses the border of the MoE block, whose inner split is what is being measured.
NodeClass charged_class(const PlannedNode* nodes, std::size_t count, const Run& run) {
    const NodeClass own = nodes[run.begin].own;
    if (run.heavy) return own;
    if (run.begin > 0) {
        const NodeClass previous = nodes[run.begin - 1].charged;
        if (in_moe_block(previous) == in_moe_block(own)) return previous;
    }
    if (run.end < count) {
        const NodeClass next = nodes[run.end].own;
        if (in_moe_block(next) == in_moe_block(own)) return next;
    }
    return own;
}

void assign_groups(PlannedNode* nodes, std::size_t count) {
    for (std::size_t begin = 0; begin < count;) {
        const Run run = run_at(nodes, count, begin);
        const NodeClass charged = charged_class(nodes, count, run);
        for (std::size_t i = run.begin; i < run.end; ++i) nodes[i].charged = charged;
        begin = run.end;
    }
    for (std::size_t i = 0; i < count; ++i) {
        nodes[i].edge = i + 1 == count || nodes[i].charged != nodes[i + 1].charged;
    }
}

}  // namespace

std::string_view base_of(std::string_view name) {
    const std::size_t tail = name.find(" (");
    if (tail != std::string_view::npos) name = name.substr(0, tail);
    if (starts_with(name, "node_") && without_digits(name) == "node_") return {};
    if (starts_with(name, "cache_k_l") || starts_with(name, "cache_v_l")) return name.substr(0, 7);
    const std::string_view stem = without_digits(name);
    if (stem.size() < name.size() && !stem.empty() && stem.back() == '-') {
        return stem.substr(0, stem.size() - 1);
    }
    return name;
}

bool is_product(std::string_view operation) {
    return operation == "MUL_MAT" || operation == "MUL_MAT_ID" || operation == "FLASH_ATTN_EXT";
}

void note_operation(PlannedNode& node, std::string_view operation) {
    node.product = is_product(operation);
    node.softmax = operation == "SOFT_MAX";
}

const char* told_name(const PlannedNode& node) {
    if (!base_of(node.name).empty()) return node.name;
    return node.product ? "(unnamed product)" : "(unnamed)";
}

void classify(PlannedNode* nodes, std::size_t count) {
    assign_own_classes(nodes, count);
    assign_groups(nodes, count);
}

}  // namespace edgemoe_probe
