/** Meters of Micrometer over {@link dev.intarsia.EngineStats}. */
package dev.intarsia.micrometer;
