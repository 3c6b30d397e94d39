/* The host's nodes, kept for questions after the snapshot is made; see struct host_node. */
#ifndef ENGINE_HOST_NODES_H
#define ENGINE_HOST_NODES_H

#include "engine/host/host.h"
#include "engine/host/host_graph.h"

/* Keeps the nodes of a graph, with all the devices that each is made of. `class` must last. */
void host_nodes_keep(struct host *host, struct graph *graph, const char *class);
void host_nodes_finish(struct host *host);

#endif
