#include "report.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

namespace edgemoe_probe {
namespace {

constexpr const char* kModeNames[] = {"off", "bare", "boundary", "per-node", "rotate"};
constexpr const char* kFailureNames[kFailures] = {
    "bad-mode",        "symbol-missing", "callback-taken",  "concurrent-call", "several-contexts",
    "graph-too-large", "order-mismatch", "decodes-dropped", "unknown-merged",
    "experts-unread",
};
#if defined(__APPLE__)
constexpr const char* kClockName = "CLOCK_UPTIME_RAW";
#else
constexpr const char* kClockName = "CLOCK_MONOTONIC";
#endif

char output_buffer[1 << 16];
std::atomic_flag writing = ATOMIC_FLAG_INIT;

class JsonFile {
  public:
    explicit JsonFile(int fd) : fd_(fd) {}

    void raw(std::string_view text) {
        for (char c : text) put(c);
    }

    void number(std::int64_t value) {
        char digits[24];
        std::size_t used = 0;
        const bool negative = value < 0;
        std::uint64_t rest =
            negative ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
        do {
            digits[used++] = static_cast<char>('0' + rest % 10);
            rest /= 10;
        } while (rest > 0);
        if (negative) put('-');
        while (used > 0) put(digits[--used]);
    }

    void text(std::string_view value) {
        put('"');
        for (char c : value) character(c);
        put('"');
    }

    // `,"key":`, or without the comma for the first key of an object.
    void key(std::string_view name, bool first = false) {
        if (!first) put(',');
        text(name);
        put(':');
    }

    void field(std::string_view name, std::int64_t value) {
        key(name);
        number(value);
    }

    void field(std::string_view name, std::string_view value) {
        key(name);
        text(value);
    }

    void flag(std::string_view name, bool value) {
        key(name);
        raw(value ? "true" : "false");
    }

    template <typename T>
    void numbers(std::string_view name, const T* values, std::size_t count) {
        key(name);
        put('[');
        for (std::size_t i = 0; i < count; ++i) {
            if (i > 0) put(',');
            number(static_cast<std::int64_t>(values[i]));
        }
        put(']');
    }

    bool finish() {
        flush();
        return good_ && fsync(fd_) == 0;
    }

  private:
    void put(char c) {
        if (used_ == sizeof(output_buffer)) flush();
        output_buffer[used_++] = c;
    }

    // Anything that is not plain ASCII is written as its byte's escape.
    void character(char c) {
        constexpr char kHex[] = "0123456789abcdef";
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
            put(c);
            return;
        }
        raw("\\u00");
        put(kHex[byte >> 4]);
        put(kHex[byte & 15]);
    }

    void flush() {
        std::size_t done = 0;
        while (good_ && done < used_) {
            const ssize_t n = write(fd_, output_buffer + done, used_ - done);
            if (n > 0) done += static_cast<std::size_t>(n);
            if (n < 0 && errno != EINTR) good_ = false;
        }
        used_ = 0;
    }

    int fd_;
    std::size_t used_ = 0;
    bool good_ = true;
};

void write_failures(JsonFile& file, const Report& report) {
    file.key("failures");
    file.raw("[");
    bool first = true;
    for (std::size_t i = 0; i < kFailures; ++i) {
        const std::int64_t times = report.failures[i].load();
        if (times == 0) continue;
        file.raw(first ? "{" : ",{");
        first = false;
        file.key("code", true);
        file.text(kFailureNames[i]);
        file.field("times", times);
        if (i == static_cast<std::size_t>(Failure::kSymbolMissing)) {
            file.field("symbol", std::string_view(report.missing_symbol));
        }
        file.raw("}");
    }
    file.raw("]");
}

void write_unknown(JsonFile& file, const Report& report) {
    file.key("unknown");
    file.raw("[");
    const std::size_t count = report.unknown_count.load();
    for (std::size_t i = 0; i < count; ++i) {
        const Unknown& entry = report.unknown[i];
        file.raw(i == 0 ? "{" : ",{");
        file.key("name", true);
        file.text(entry.name);
        file.field("nodes", entry.nodes);
        file.field("timed_nodes", entry.timed_nodes);
        file.field("timed_ns", entry.timed_ns);
        file.raw("}");
    }
    file.raw("]");
}

std::size_t layers_used(const LayerUse* of_layers) {
    std::size_t used = 0;
    for (std::size_t i = 0; i < kMaxLayers; ++i) used += of_layers[i].tokens > 0 ? 1 : 0;
    return used;
}

void write_layer_use(JsonFile& file, const char* kind, std::size_t layer, std::uint32_t experts,
                     const LayerUse& use) {
    file.raw("{");
    file.key("chosen_in", true);
    file.text(kind);
    file.field("layer", static_cast<std::int64_t>(layer));
    file.field("tokens", static_cast<std::int64_t>(use.tokens));
    file.field("pairs", static_cast<std::int64_t>(use.pairs));
    file.field("reused", static_cast<std::int64_t>(use.reused));
    file.numbers("counts", use.counts, experts);
    file.raw("}\n");
}

void write_use(JsonFile& file, const char* kind, const ExpertUse& use, const LayerUse* of_layers) {
    for (std::size_t i = 0; i < kMaxLayers; ++i) {
        if (of_layers[i].tokens > 0) {
            write_layer_use(file, kind, i, use.experts[i], of_layers[i]);
        }
    }
}

void write_head(JsonFile& file, const Report& report, const char* reason, std::size_t count) {
    file.raw("{");
    file.key("schema", true);
    file.text("edgemoe-probe");
    file.field("version", kSchemaVersion);
    file.field("mode", kModeNames[static_cast<std::size_t>(report.mode)]);
    file.field("reason", reason);
    file.field("pid", getpid());
    file.field("clock", kClockName);
    file.field("decodes", static_cast<std::int64_t>(count));
    file.field("layers_used", static_cast<std::int64_t>(layers_used(report.use.prompt) +
                                                       layers_used(report.use.decode)));
    file.field("discarded", report.discarded.load());
    file.flag("in_decode", report.in_decode.load());
    file.key("classes");
    file.raw("[");
    for (std::size_t i = 0; i < kClasses; ++i) {
        if (i > 0) file.raw(",");
        file.text(kClassNames[i]);
    }
    file.raw("]");
    write_failures(file, report);
    write_unknown(file, report);
    file.raw("}\n");
}

void write_decode(JsonFile& file, const Decode& decode) {
    file.raw("{");
    file.key("kind", true);
    file.text(decode.tokens == 1 ? "decode" : "prompt");
    file.field("mode", kModeNames[static_cast<std::size_t>(decode.mode)]);
    file.field("tokens", decode.tokens);
    if (decode.kv_cells >= 0) file.field("kv_cells", decode.kv_cells);
    file.field("result", decode.result);
    file.field("start_ns", decode.start_ns);
    file.field("wall_ns", decode.wall_ns);
    file.flag("timed", decode.timed);
    if (decode.timed) {
        file.field("graphs", decode.graphs);
        file.field("syncs", decode.syncs);
        file.numbers("class_ns", decode.class_ns, kClasses);
        file.numbers("nodes", decode.nodes, kClasses);
        file.numbers("charged", decode.charged, kClasses);
        file.numbers("class_syncs", decode.class_syncs, kClasses);
        file.field("projections", decode.projections);
    }
    if (decode.timed && decode.mode == Mode::kPerNode) {
        file.field("projections_ns", decode.projections_ns);
        file.field("moved_ns", decode.moved_ns);
        file.field("reading_ns", decode.reading_ns);
    }
    file.raw("}\n");
}

bool write_to(const char* path, const Report& report, const char* reason) {
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return false;
    JsonFile file(fd);
    const std::size_t count = report.count.load();
    write_head(file, report, reason, count);
    for (std::size_t i = 0; i < count; ++i) write_decode(file, report.decodes[i]);
    write_use(file, "prompt", report.use, report.use.prompt);
    write_use(file, "decode", report.use, report.use.decode);
    const bool good = file.finish();
    return close(fd) == 0 && good;
}

void complain() {
    constexpr std::string_view kLine = "edgemoe-probe: cannot write EDGEMOE_PROBE_OUT\n";
    // Nothing can be done about a stderr that cannot be written either.
    if (write(STDERR_FILENO, kLine.data(), kLine.size()) < 0) return;
}

Unknown& unknown_entry(Report& report, const char* name) {
    const std::size_t count = report.unknown_count.load();
    for (std::size_t i = 0; i < count; ++i) {
        if (std::strcmp(report.unknown[i].name, name) == 0) return report.unknown[i];
    }
    if (count == kMaxUnknown) {
        note(report, Failure::kUnknownMerged);
        return report.unknown[kMaxUnknown - 1];
    }
    std::strncpy(report.unknown[count].name, name, kMaxName - 1);
    report.unknown_count.store(count + 1);
    return report.unknown[count];
}

}  // namespace

void note(Report& report, Failure failure) {
    report.failures[static_cast<std::size_t>(failure)].fetch_add(1);
    report.changed.store(true);
}

void note_unknown(Report& report, const char* name, std::int64_t timed_ns) {
    Unknown& entry = unknown_entry(report, name);
    entry.nodes += 1;
    if (timed_ns < 0) return;
    entry.timed_nodes += 1;
    entry.timed_ns += timed_ns;
}

void append(Report& report, const Decode& decode) {
    const std::size_t count = report.count.load();
    report.changed.store(true);
    if (count == kMaxDecodes) {
        note(report, Failure::kDecodesDropped);
        return;
    }
    report.decodes[count] = decode;
    report.count.store(count + 1);
}

bool note_chosen(ExpertUse& use, LayerUse& layer_use, std::size_t layer, const std::int32_t* ids,
                 std::size_t count) {
    bool* previous = use.previous[layer];
    for (std::size_t i = 0; i < count; ++i) {
        if (ids[i] < 0 || static_cast<std::uint32_t>(ids[i]) >= use.experts[layer]) return false;
    }
    layer_use.tokens += 1;
    for (std::size_t i = 0; i < count; ++i) {
        layer_use.counts[ids[i]] += 1;
        if (use.has_previous[layer] && previous[ids[i]]) layer_use.reused += 1;
    }
    if (use.has_previous[layer]) layer_use.pairs += count;
    std::memset(previous, 0, sizeof(use.previous[layer]));
    for (std::size_t i = 0; i < count; ++i) previous[ids[i]] = true;
    use.has_previous[layer] = true;
    return true;
}

void begin_sequence(ExpertUse& use) {
    std::memset(use.has_previous, 0, sizeof(use.has_previous));
}

void discard(Report& report) {
    report.discarded.fetch_add(static_cast<std::int64_t>(report.count.load()));
    report.count.store(0);
    report.unknown_count.store(0);
    std::memset(report.unknown, 0, sizeof(report.unknown));
    report.use = ExpertUse{};
    report.changed.store(true);
}

bool write_report(Report& report, const char* reason) {
    static char temporary[kMaxPath + 8];
    if (report.path[0] == '\0') return false;
    if (writing.test_and_set()) return false;  // a signal came while the report was being written
    report.changed.store(false);
    std::strcpy(temporary, report.path);
    std::strcat(temporary, ".tmp");
    const bool good =
        write_to(temporary, report, reason) && std::rename(temporary, report.path) == 0;
    if (!good) complain();
    writing.clear();
    return good;
}

}  // namespace edgemoe_probe
