package dev.intarsia.jfr;

import jdk.jfr.Category;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;

/** What was asked for was changed to what can be done. */
@Name("dev.intarsia.Downgrade")
@Label("Downgrade")
@Category("Intarsia")
@StackTrace(false)
public final class DowngradeEvent extends Event {
    @Label("Subject")
    @Description("What was changed: graph mode, capture sizes, ranges")
    public String subject;

    @Label("Reason")
    @Description("The change and why it was made")
    public String reason;
}
