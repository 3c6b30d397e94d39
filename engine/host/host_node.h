/* The host's nodes, kept for questions after the snapshot is made; see struct host_node. */
#ifndef ENGINE_HOST_NODE_H
#define ENGINE_HOST_NODE_H

#include "engine/host/graph.h"
#include "engine/host/host.h"

/* Keeps the nodes of a graph, with all the devices that each is made of. `class` must last. */
void host_node_keep_all(struct host *host, struct graph *graph, const char *class);
void host_node_finish_all(struct host *host);

#endif
