// Which class a node of the compute graph belongs to, and where boundary mode synchronises.
// Pure: works on names and operation names in graph order, knows nothing of ggml or time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace edgemoe_probe {

enum class NodeClass : std::uint8_t { kRouting, kExpertFfn, kAttention, kHead, kOther };
inline constexpr std::size_t kClasses = 5;
inline constexpr const char* kClassNames[kClasses] = {"routing", "expert_ffn", "attention", "head",
                                                      "other"};

// As large as GGML_MAX_NAME; probe.cpp asserts it. A graph of llama.cpp has at most
// max(8192, 5 * tensors) nodes; OLMoE-1B-7B has 950.
inline constexpr std::size_t kMaxName = 64;
inline constexpr std::size_t kMaxNodes = 16384;

// What else than its time is asked of a node: the router's logits tell how many experts there are,
// the chosen ids which of them a token takes.
enum class NodeRole : std::uint8_t { kNone, kLogits, kChosen };

struct PlannedNode {
    char name[kMaxName];
    const void* tensor;  // identity only, to see that the scheduler keeps the graph's order
    NodeClass own;       // by its name, or by its position when it has none
    NodeClass charged;   // the class that gets its time in boundary mode
    bool product;        // a matrix product: the work that makes a group worth an edge
    bool softmax;        // in a MoE block only routing takes one
    bool unknown;        // has a name that is in no table, or none and no position that tells
    bool edge;           // boundary mode synchronises after this node
    bool projection;     // of the experts, up to their down projection: no weighting, no sum
    NodeRole role;
    std::int32_t layer;  // the number at the end of its name, -1 without one
};

// The part of a node's name that says what it is: `ffn_moe_probs-3 (reshaped)` is
// `ffn_moe_probs`. Empty for nodes that nobody named (`node_43`, ` (view)`).
std::string_view base_of(std::string_view name);

bool is_product(std::string_view operation);

// Fills product and softmax.
void note_operation(PlannedNode& node, std::string_view operation);

// The name under which an unknown node is reported: its own, or that it has none.
const char* told_name(const PlannedNode& node);

// Fills all the rest of `count` nodes from their name, product and softmax.
void classify(PlannedNode* nodes, std::size_t count);

}  // namespace edgemoe_probe
