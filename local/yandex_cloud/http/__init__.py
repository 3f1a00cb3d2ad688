"""The APIs of the cloud that are no gRPC: Object Storage (S3) and Message Queue (SQS).

    server.py        an HTTP proxy: whoever uses it reaches them under their real names
    access.py        who calls: an IAM token, or a static key of a service account
    buckets.py       S3: settings of buckets, which BucketService creates
    objects.py       S3: objects
    queues.py        SQS
    answers.py       errors, and answers in XML

A request that none of them knows is answered with NotImplemented and its name.
"""
