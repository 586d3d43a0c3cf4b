"""Prometheus remote write 1.0, as far as it is read: prometheus/prompb, types.proto and remote.proto.

Declared here, so that there is no code to generate. On the wire a message and bytes are the same, and so are strings:
what is passed over (metadata, exemplars, histograms) is declared as bytes, which are counted and not looked into, and
names and values are too, so that one that is no UTF-8 costs its own series only.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "readership"

# By message, its fields: name, number, type; a type of our own is given by its name. True: repeated.
_MESSAGES: dict[str, list[tuple[str, int, Field.Type.ValueType | str, bool]]] = {
    "Label": [("name", 1, Field.TYPE_BYTES, False), ("value", 2, Field.TYPE_BYTES, False)],
    "Sample": [("value", 1, Field.TYPE_DOUBLE, False), ("timestamp", 2, Field.TYPE_INT64, False)],
    "TimeSeries": [
        ("labels", 1, "Label", True),
        ("samples", 2, "Sample", True),
        ("exemplars", 3, Field.TYPE_BYTES, True),
        ("histograms", 4, Field.TYPE_BYTES, True),
    ],
    "WriteRequest": [("timeseries", 1, "TimeSeries", True), ("metadata", 3, Field.TYPE_BYTES, True)],
}


def _declared() -> FileDescriptorProto:
    file = FileDescriptorProto(name="remote_write.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            declared = message.field.add(name=field, number=number)
            declared.label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
            if isinstance(kind, str):
                declared.type, declared.type_name = Field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                declared.type = kind
    return file


# A pool of our own: the process's may know Prometheus's messages from elsewhere.
_pool = DescriptorPool()
_pool.Add(_declared())

WriteRequest: Any = GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.WriteRequest"))
