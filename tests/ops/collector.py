"""Takes OTLP over gRPC, and prints each span that it gets as a line of JSON. Argument: the port."""

import json
import sys
import threading
from concurrent import futures

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as stubs


def plain(attributes):
    return {one.key: one.value.string_value or one.value.int_value for one in attributes}


class Collector(stubs.TraceServiceServicer):
    def Export(self, request, context):
        for resource in request.resource_spans:
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                said = {
                    "resource": plain(resource.resource.attributes),
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": span.kind,
                    "ns": span.end_time_unix_nano - span.start_time_unix_nano,
                    "attributes": plain(span.attributes),
                }
                print(json.dumps(said), flush=True)
        return service.ExportTraceServiceResponse()


server = grpc.server(futures.ThreadPoolExecutor(2))
stubs.add_TraceServiceServicer_to_server(Collector(), server)
server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
print("takes spans", flush=True)
threading.Event().wait()
