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
constexpr std::array<std::string_view, 12> kExpertNames = {
    "ffn_moe_up",    "ffn_moe_gate",  "ffn_moe_down",     "ffn_moe_silu",
    "ffn_moe_gelu",  "ffn_moe_relu",  "ffn_moe_act",      "ffn_moe_swiglu",
    "ffn_moe_geglu", "ffn_moe_reglu", "ffn_moe_weighted", "ffn_moe_out",
};
constexpr std::array<std::string_view, 21> kAttentionNames = {
    "attn", "Qcur", "Kcur", "Vcur",    "q",       "k",       "v",
    "kq",   "kqv",  "wqkv", "bqkv",    "wo",      "k_cache", "v_cache",
    "qkv",  "q_pe", "k_pe", "cache_k", "cache_v", "kv",      "fattn",
};
constexpr std::array<std::string_view, 3> kHeadNames = {"result", "lmhead", "output_norm"};
// Known and none of the four: embedding, residual sums, dense and shared FFN, cache upkeep.
constexpr std::array<std::string_view, 26> kOtherNames = {
    "inp",       "inpL",          "pos_embd", "ffn_inp",        "ffn_norm",  "ffn_up",
    "ffn_gate",  "ffn_down",      "ffn_silu", "ffn_gelu",       "ffn_relu",  "ffn_act",
    "ffn_mul",   "ffn_out",       "ffn_post", "ffn_sub",        "ffn_shexp", "ffn_swiglu",
    "ffn_geglu", "l_out",         "sa_out",   "layer_out_norm", "K_f32",     "K_shifted",
    "embd",      "ffn_moe_shexp",
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

Judgement judge(std::string_view base) {
    if (base.empty()) return {Naming::kUnnamed, NodeClass::kOther};
    if (base == "norm" || base == "norm_w") return {Naming::kHelper, NodeClass::kOther};
    if (has(kRoutingNames, base)) return {Naming::kNamed, NodeClass::kRouting};
    if (has(kExpertNames, base)) return {Naming::kNamed, NodeClass::kExpertFfn};
    if (has(kAttentionNames, base)) return {Naming::kNamed, NodeClass::kAttention};
    if (has(kHeadNames, base)) return {Naming::kNamed, NodeClass::kHead};
    if (has(kOtherNames, base)) return {Naming::kNamed, NodeClass::kOther};
    return {Naming::kUnknown, NodeClass::kOther};
}

NodeClass class_ahead(const PlannedNode* nodes, std::size_t count, std::size_t from) {
    for (std::size_t i = from; i < count; ++i) {
        const Judgement found = judge(base_of(nodes[i].name));
        if (found.naming == Naming::kNamed || found.naming == Naming::kUnknown) return found.cls;
    }
    return NodeClass::kOther;
}

// An unnamed node continues what came before it. The exception is the end of a MoE block: the
// routing weights are gathered after the down projection, and the unnamed nodes that follow apply
// them to the experts' outputs and sum these up, which is the experts' work.
void assign_own_classes(PlannedNode* nodes, std::size_t count) {
    NodeClass before = NodeClass::kOther;
    bool combining = false;
    for (std::size_t i = 0; i < count; ++i) {
        const std::string_view base = base_of(nodes[i].name);
        const Judgement found = judge(base);
        nodes[i].unknown = found.naming == Naming::kUnknown;
        if (found.naming == Naming::kUnnamed) {
            nodes[i].own = combining ? NodeClass::kExpertFfn : before;
        } else if (found.naming == Naming::kHelper) {
            nodes[i].own = class_ahead(nodes, count, i + 1);
        } else {
            nodes[i].own = found.cls;
            if (starts_with(base, "ffn_moe_down")) combining = true;
            if (base == "ffn_moe_out" || !starts_with(base, "ffn_moe_")) combining = false;
        }
        before = nodes[i].own;
    }
}

bool in_moe_block(NodeClass cls) {
    return cls == NodeClass::kRouting || cls == NodeClass::kExpertFfn;
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

void classify(PlannedNode* nodes, std::size_t count) {
    assign_own_classes(nodes, count);
    assign_groups(nodes, count);
}

}  // namespace edgemoe_probe
