// What the probe has seen, and how it is written: fixed memory, no allocation, no locale, so that
// it can be written from a signal handler in the middle of a decode.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "node_class.h"

namespace edgemoe_probe {

inline constexpr int kSchemaVersion = 2;
inline constexpr std::size_t kMaxDecodes = 32768;
inline constexpr std::size_t kMaxUnknown = 64;
inline constexpr std::size_t kMaxPath = 4096;
// The largest models of late 2026 have 94 layers and 512 experts.
inline constexpr std::size_t kMaxLayers = 128;
inline constexpr std::size_t kMaxExperts = 512;

enum class Mode : std::uint8_t { kOff, kBare, kBoundary, kPerNode, kRotate };

enum class Failure : std::uint8_t {
    kBadMode,          // EDGEMOE_PROBE_MODE is none of the known ones; the probe stays passive
    kSymbolMissing,    // a function of the public API was not found; the probe stays passive
    kCallbackTaken,    // the program has an evaluation callback of its own; it is left alone
    kConcurrentCall,   // a decode began while another ran; it is not recorded
    kSeveralContexts,  // more than one context decoded; their records are in one list
    kGraphTooLarge,    // more nodes than kMaxNodes; that graph ran without the callback
    kOrderMismatch,    // the scheduler did not keep the graph's order; that decode has no times
    kDecodesDropped,   // more decodes than kMaxDecodes; the later ones are counted only here
    kUnknownMerged,    // more unknown names than kMaxUnknown; the rest share one entry
    kExpertsUnread,    // chosen experts that could not be read: of a form or number not known here
};
inline constexpr std::size_t kFailures = 10;

// One call of llama_decode. Times are of the monotonic clock.
struct Decode {
    std::int64_t start_ns;
    std::int64_t wall_ns;
    std::int64_t class_ns[kClasses];
    std::int64_t kv_cells;  // cells of the KV cache in use before the call, -1 if not readable
    std::uint32_t nodes[kClasses];    // by the node's own class
    std::uint32_t charged[kClasses];  // by the class that got the node's time
    std::uint32_t class_syncs[kClasses];  // by the class whose time they are in
    std::uint32_t projections;    // of the experts' nodes those up to the down projection
    std::int64_t projections_ns;  // their time, in per-node mode
    std::int64_t moved_ns;    // routing's nodes that boundary mode charges to the experts, likewise
    std::int64_t reading_ns;  // in wall_ns: reading the chosen experts, likewise
    std::uint32_t syncs;
    std::int32_t tokens;
    std::int32_t result;
    std::uint16_t graphs;  // graphs computed with the callback
    Mode mode;
    bool timed;  // class_ns holds the whole of every graph of this call
};

// Which experts the tokens of one kind of call took in one layer.
struct LayerUse {
    std::uint64_t tokens;
    std::uint64_t pairs;   // chosen by those tokens that follow another one
    std::uint64_t reused;  // of these the ones that the token before had chosen too
    std::uint32_t counts[kMaxExperts];
};

struct ExpertUse {
    std::uint32_t experts[kMaxLayers];  // of the layer; 0 for one without a router
    LayerUse prompt[kMaxLayers];
    LayerUse decode[kMaxLayers];
    bool previous[kMaxLayers][kMaxExperts];  // those of the last token
    bool has_previous[kMaxLayers];
};

struct Unknown {
    char name[kMaxName];
    std::int64_t nodes;
    std::int64_t timed_ns;  // time of those seen one by one, in per-node mode
    std::int64_t timed_nodes;
};

struct Report {
    Mode mode;
    ExpertUse use;
    char path[kMaxPath];
    Decode decodes[kMaxDecodes];
    std::atomic<std::size_t> count;
    std::atomic<std::int64_t> discarded;  // before llama_perf_context_reset: the warm-up
    std::atomic<bool> in_decode;
    std::atomic<std::int64_t> failures[kFailures];
    Unknown unknown[kMaxUnknown];
    std::atomic<std::size_t> unknown_count;
    std::atomic<bool> missing_symbol_named;
    char missing_symbol[kMaxName];
    std::atomic<bool> changed;  // since it was last written
};

void note(Report& report, Failure failure);

// Adds a sighting of an unknown name; `timed_ns` is negative where it was not timed by itself.
void note_unknown(Report& report, const char* name, std::int64_t timed_ns);

void append(Report& report, const Decode& decode);

// Adds what one token chose in one layer; false where one of the ids is no expert of the layer.
bool note_chosen(ExpertUse& use, LayerUse& layer_use, std::size_t layer, const std::int32_t* ids,
                 std::size_t count);

// The next token follows none.
void begin_sequence(ExpertUse& use);

// Forgets the decodes so far, as the engine forgets its own figures after the warm-up.
void discard(Report& report);

// Writes the report to a temporary file beside `path` and renames it. Safe in a signal handler.
// `reason` says what made it: `perf_print`, `exit`, `signal`.
bool write_report(Report& report, const char* reason);

}  // namespace edgemoe_probe
