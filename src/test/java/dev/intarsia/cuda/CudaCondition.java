package dev.intarsia.cuda;

import dev.intarsia.runtime.Device;
import dev.intarsia.runtime.DeviceInfo;
import dev.intarsia.runtime.DeviceKind;
import java.util.List;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;

/** Whether a CUDA device can be opened. */
final class CudaCondition implements ExecutionCondition {
    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
        List<DeviceInfo> cuda = Device.list().stream()
                .filter(device -> device.kind() == DeviceKind.CUDA)
                .toList();
        return cuda.stream().anyMatch(DeviceInfo::available)
                ? ConditionEvaluationResult.enabled(cuda.getFirst().name())
                : ConditionEvaluationResult.disabled("no CUDA device: " + cuda.getFirst().note());
    }
}
