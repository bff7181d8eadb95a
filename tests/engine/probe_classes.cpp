// Reads "operation<TAB>name" lines in graph order; prints for each its class, the class that gets
// its time in boundary mode, whether boundary mode synchronises after it, whether it is unknown,
// whether it is one of the experts' projections, its role and its layer.
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>

#include "node_class.h"

int main() {
    static edgemoe_probe::PlannedNode nodes[edgemoe_probe::kMaxNodes];
    std::size_t count = 0;
    for (std::string line; std::getline(std::cin, line); ++count) {
        const std::size_t tab = line.find('\t');
        edgemoe_probe::note_operation(nodes[count], line.substr(0, tab));
        std::strncpy(nodes[count].name, line.c_str() + tab + 1, edgemoe_probe::kMaxName - 1);
    }
    edgemoe_probe::classify(nodes, count);
    for (std::size_t i = 0; i < count; ++i) {
        std::printf("%s\t%s\t%d\t%d\t%d\t%d\t%d\n",
                    edgemoe_probe::kClassNames[static_cast<std::size_t>(nodes[i].own)],
                    edgemoe_probe::kClassNames[static_cast<std::size_t>(nodes[i].charged)],
                    nodes[i].edge, nodes[i].unknown, nodes[i].projection,
                    static_cast<int>(nodes[i].role), nodes[i].layer);
    }
}
